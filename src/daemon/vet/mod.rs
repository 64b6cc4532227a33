//! What only the control plane can say about a commit whose documents are valid: whether what they
//! name is within the bounds of its settings, and whether the templates can be rendered.

mod names;
mod templates;

use std::collections::BTreeMap;

use super::error::DaemonError;
use super::plan::planning;
use super::sources::SourceSettings;
use crate::core::desired::Desired;
use crate::core::diagnostic::{Diagnostic, Severity};
use crate::core::document::read::hidden_characters;
use crate::core::id::ResourceId;
use crate::core::spec::Spec;
use crate::git::{DesiredState, Snapshot};

/// A commit whose documents are valid.
pub(super) struct Commit<'a> {
    snapshot: &'a Snapshot,
    ids: Vec<ResourceId>,
    spec: &'a dyn Fn(&ResourceId) -> Option<Spec>,
}

/// Everything that is wrong with `desired` here; nothing when it may be carried out.
///
/// # Errors
/// When a file of the commit cannot be read any more.
pub fn vet(
    desired: &DesiredState,
    settings: &SourceSettings,
) -> Result<Vec<Diagnostic>, DaemonError> {
    let commit = Commit {
        snapshot: &desired.snapshot,
        ids: desired.ids().cloned().collect(),
        // What cannot be read any more ends the pass that plans it.
        spec: &|id| desired.spec(id).ok().flatten(),
    };
    problems(&commit, settings)
}

/// The same for documents that were read as a whole.
///
/// # Errors
/// When a file of the commit cannot be read any more.
pub fn vet_documents(
    snapshot: &Snapshot,
    desired: &Desired,
    settings: &SourceSettings,
) -> Result<Vec<Diagnostic>, DaemonError> {
    let environments = desired.environments.keys();
    let commit = Commit {
        snapshot,
        ids: std::iter::once(ResourceId::Fleet)
            .chain(desired.nodes.keys().cloned().map(ResourceId::Node))
            .chain(environments.map(|(site, name)| ResourceId::env(site, name)))
            .collect(),
        spec: &|id| desired.spec(id),
    };
    problems(&commit, settings)
}

fn problems(
    commit: &Commit<'_>,
    settings: &SourceSettings,
) -> Result<Vec<Diagnostic>, DaemonError> {
    let mut problems = Vec::new();
    names::check(commit, settings, &mut problems);
    let mut overrides = BTreeMap::new();
    for file in &commit.snapshot.templates {
        if let Some(unknown) = templates::unknown(&file.path) {
            problems.push(unknown);
            continue;
        }
        match planning::template(commit.snapshot, file) {
            Ok((path, text)) => {
                // As it stands in the repository, where it is read.
                let written = commit.snapshot.read(file)?;
                let written = String::from_utf8_lossy(&written);
                problems.extend(hidden_characters(&file.path, &written));
                overrides.insert(path, text);
            }
            Err(DaemonError::NotText(_)) => problems.push(error(
                &file.path,
                1,
                "template-invalid",
                "the template is not UTF-8 text".to_owned(),
                "save it as UTF-8",
            )),
            Err(error) => return Err(error),
        }
    }
    let reader = commit.snapshot.reader()?;
    for file in &commit.snapshot.hooks {
        let content = reader.read(file)?;
        let text = String::from_utf8_lossy(&content);
        problems.extend(hidden_characters(&file.path, &text));
    }
    templates::check(commit, overrides, &mut problems);
    problems.sort();
    Ok(problems)
}

/// Whether one of them keeps the commit from being carried out.
#[must_use]
pub fn has_errors(problems: &[Diagnostic]) -> bool {
    let is_error = |found: &Diagnostic| found.severity == Severity::Error;
    problems.iter().any(is_error)
}

fn error(
    file: &str,
    line: usize,
    code: &'static str,
    message: String,
    hint: impl Into<String>,
) -> Diagnostic {
    Diagnostic {
        file: file.to_owned(),
        line,
        column: 1,
        severity: Severity::Error,
        code,
        message,
        hint: Some(hint.into()),
        length: 1,
    }
}
