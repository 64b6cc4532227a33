//! Problems that rules find, and the places that they are about.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::Source;
use crate::core::diagnostic::{Diagnostic, Severity};
use crate::core::document::read::{Locator, Problem, Step};

/// One problem, about a value of a document.
#[derive(Clone, Debug)]
pub(crate) struct Finding {
    file: Arc<str>,
    /// The line of the document's `kind`.
    line: usize,
    /// In the document as it is written.
    path: Vec<Step>,
    severity: Severity,
    code: &'static str,
    message: String,
    hint: Option<String>,
}

/// Collects what the rules find.
#[derive(Debug, Default)]
pub(crate) struct Findings(Vec<Finding>);

impl Findings {
    /// An error about the value at `path` of the document at `source`.
    pub(crate) fn error(
        &mut self,
        source: &Source,
        path: impl Into<Vec<Step>>,
        code: &'static str,
        message: impl Into<String>,
    ) -> &mut Finding {
        self.push(source, path.into(), Severity::Error, code, message.into())
    }

    fn push(
        &mut self,
        source: &Source,
        path: Vec<Step>,
        severity: Severity,
        code: &'static str,
        message: String,
    ) -> &mut Finding {
        self.0.push(Finding {
            file: Arc::clone(&source.file),
            line: source.line,
            path: source.lost.as_written(path),
            severity,
            code,
            message,
            hint: None,
        });
        let last = self.0.len() - 1;
        &mut self.0[last]
    }

    /// The findings with their places, in no particular order. `text` gives the text of a
    /// file, which is read again only for files that have findings.
    pub(crate) fn into_diagnostics(self, text: &dyn Fn(&str) -> Option<String>) -> Vec<Diagnostic> {
        let mut locators: BTreeMap<String, Option<Locator>> = BTreeMap::new();
        let mut diagnostics = Vec::with_capacity(self.0.len());
        for finding in self.0 {
            let file: &str = &finding.file;
            if !locators.contains_key(file) {
                locators.insert(file.to_owned(), text(file).map(|text| Locator::new(&text)));
            }
            let place = match locators.get(file) {
                Some(Some(locator)) => locator.find(finding.line, &finding.path),
                Some(None) | None => Locator::nowhere(finding.line),
            };
            let problem = Problem::new(place, finding.code, finding.message).hint(finding.hint);
            diagnostics.push(Diagnostic {
                severity: finding.severity,
                ..problem.into_diagnostic(file)
            });
        }
        diagnostics
    }
}

impl Finding {
    /// What to do about it.
    pub(crate) fn hint(&mut self, hint: impl Into<String>) {
        self.hint = Some(hint.into());
    }
}

/// The path of nested fields, without lists.
pub(crate) fn fields<const N: usize>(names: [&'static str; N]) -> Vec<Step> {
    names.into_iter().map(Step::Field).collect()
}
