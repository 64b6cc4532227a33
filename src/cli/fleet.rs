//! Reading the fleet repo for a command: from where, with which problems, and what is planned.

use std::ops::ControlFlow;
use std::path::PathBuf;

use super::context::Context;
use super::error::CliError;
use super::exit::Exit;
use super::plan_view::Heading;
use super::{diagnostics_view, open, output, ownership};
use crate::core::causes::chain;
use crate::core::desired::Assembled;
use crate::core::diagnostic::Diagnostic;
use crate::core::id::ResourceId;
use crate::core::plan::Choice;
use crate::daemon::{self, DaemonError, FileChanges, Prepared, Purpose};
use crate::git::{self, DesiredState, FetchRequest, Loaded, Reference, RepoUrl, Snapshot};
use crate::secrets::FingerprintKey;

/// Where the fleet repo is.
#[derive(clap::Args, Clone, Debug)]
pub(crate) struct FleetArgs {
    /// Directory of the fleet repo, or of the part of it that holds the fleet [default: .]
    #[arg(value_name = "PATH", conflicts_with = "repo")]
    pub(crate) path: Option<PathBuf>,
    /// Read the fleet from this repository instead (https, ssh, file)
    #[arg(long, value_name = "URL")]
    pub(crate) repo: Option<String>,
    /// Branch, tag or commit of `--repo` [default: the repository's own]
    #[arg(long = "ref", value_name = "REF", requires = "repo")]
    pub(crate) reference: Option<String>,
    /// The part of `--repo` that holds the fleet
    #[arg(long, value_name = "DIR", requires = "repo")]
    pub(crate) subdirectory: Option<String>,
}

/// A fleet whose documents are all valid.
#[derive(Debug)]
pub(crate) struct Fleet {
    desired: Box<DesiredState>,
}

/// All documents of a snapshot, checked.
pub(crate) fn assemble(snapshot: &Snapshot, context: &Context) -> Result<Assembled, CliError> {
    git::load(snapshot, cache_dir(context).as_deref(), &context.reserved())
        .map_err(|error| from_git(&error))
}

/// Where parsed documents are kept. Looking at a fleet repo needs nothing but the binary and
/// leaves nothing behind, so there is a cache only where there is a state directory of ours.
pub(super) fn cache_dir(context: &Context) -> Option<PathBuf> {
    use std::os::unix::fs::DirBuilderExt;
    if !ownership::is_own(&context.state_dir) {
        return None;
    }
    let dir = context.state_dir.join("cache");
    match std::fs::DirBuilder::new().mode(0o700).create(&dir) {
        Ok(()) => Some(dir),
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => Some(dir),
        Err(_) => None,
    }
}

/// The fleet, or none when its documents are not valid; then that has been said.
pub(crate) fn load(
    args: &FleetArgs,
    context: &Context,
    is_json: bool,
) -> Result<Option<Fleet>, CliError> {
    let snapshot = snapshot(args, context)?;
    let loaded = git::load_desired(snapshot, cache_dir(context).as_deref(), &context.reserved())
        .map_err(|error| from_git(&error))?;
    match loaded {
        Loaded::Valid(desired, mut diagnostics) => {
            diagnostics.extend(daemon::vet(&desired, &context.sources)?);
            tell(&diagnostics, &desired.snapshot, context, is_json)?;
            if !daemon::has_errors(&diagnostics) {
                return Ok(Some(Fleet { desired }));
            }
            if is_json {
                let documents = desired.ids().len();
                output::json_line(&diagnostics_view::summary(documents, &diagnostics))?;
            } else {
                output::note("nothing was planned, because the fleet is not valid")?;
            }
            Ok(None)
        }
        Loaded::Invalid(snapshot, assembled) => {
            tell(&assembled.diagnostics, &snapshot, context, is_json)?;
            if is_json {
                output::json_line(&diagnostics_view::summary(
                    assembled.documents,
                    &assembled.diagnostics,
                ))?;
            } else {
                output::note("nothing was planned, because the documents are not valid")?;
            }
            Ok(None)
        }
    }
}

fn tell(
    diagnostics: &[Diagnostic],
    snapshot: &Snapshot,
    context: &Context,
    is_json: bool,
) -> Result<(), CliError> {
    if is_json {
        for diagnostic in diagnostics {
            output::json_line(&diagnostics_view::line(diagnostic))?;
        }
    } else if !diagnostics.is_empty() {
        let source = snapshot.texts();
        output::note(&diagnostics_view::text(
            diagnostics,
            &source,
            context.width(),
            context.interactive,
        ))?;
    }
    Ok(())
}

/// The state of the fleet repo that the arguments name.
pub(crate) fn snapshot(args: &FleetArgs, context: &Context) -> Result<Snapshot, CliError> {
    let Some(url) = &args.repo else {
        if args.reference.is_some() || args.subdirectory.is_some() {
            return Err(
                CliError::new("`--ref` and `--subdirectory` say which part of `--repo`")
                    .exit(Exit::Usage)
                    .hint("add `--repo URL`, or check out what you want to read"),
            );
        }
        let path = args.path.clone().unwrap_or_else(|| PathBuf::from("."));
        return git::open_working_tree(&path, cache_dir(context).as_deref())
            .map_err(|error| from_git(&error));
    };
    context.ensure_state_dir()?;
    let usage = |error| from_git(&error).exit(Exit::Usage);
    let url: RepoUrl = url.parse().map_err(usage)?;
    let reference = match &args.reference {
        Some(reference) => reference.parse().map_err(usage)?,
        None => Reference::Head,
    };
    let request = FetchRequest {
        url: &url,
        reference: &reference,
        subdirectory: args.subdirectory.as_deref().unwrap_or(""),
        state_dir: &context.state_dir,
        credentials: &context.credentials(),
        since: None,
        time_limit: git::FETCH_TIME,
    };
    git::fetch(&request, &mut |_| ControlFlow::Continue(())).map_err(|error| from_git(&error))
}

fn from_git(error: &git::GitError) -> CliError {
    let hint = error.hint();
    let base = CliError::new(chain(error));
    match hint {
        Some(hint) => base.hint(hint),
        None => base,
    }
}

impl Fleet {
    /// The name of the fleet.
    pub(crate) fn name(&self) -> String {
        self.desired.fleet_name()
    }

    /// Refuses ids that no document has, so that a mistyped target is not an empty plan.
    pub(crate) fn require<'a>(
        &self,
        ids: impl Iterator<Item = &'a ResourceId>,
    ) -> Result<(), CliError> {
        for id in ids {
            if self.desired.contains(id) {
                continue;
            }
            let like = |known: &str| strsim::jaro_winkler(known, &id.to_string());
            let near = self
                .desired
                .ids()
                .map(ToString::to_string)
                .max_by(|a, b| like(a).total_cmp(&like(b)));
            let error = CliError::new(format!("no document has the id `{id}`")).exit(Exit::Usage);
            return Err(match near {
                Some(near) => error.hint(format!("did you mean `{near}`?")),
                None => error,
            });
        }
        Ok(())
    }

    /// The plan from what is recorded to this fleet.
    pub(crate) fn plan(
        &self,
        context: &Context,
        choice: &Choice,
        purpose: Purpose,
    ) -> Result<Prepared, CliError> {
        let store = open::if_there(context)?;
        let key = FingerprintKey::load(&context.secrets_dir)
            .map_err(|error| CliError::new(chain(&error)))?;
        Ok(daemon::plan(
            &self.desired,
            store.as_ref(),
            key.as_ref(),
            choice,
            purpose,
        )?)
    }
}

/// Shows what a plan would change in the files on the nodes, job by job.
pub(crate) fn file_changes(
    context: &Context,
    prepared: &Prepared,
    show: &mut dyn FnMut(FileChanges) -> Result<(), CliError>,
) -> Result<(), CliError> {
    let store = open::if_there(context)?;
    daemon::file_changes(prepared, store.as_ref(), show)
}

/// What stands above a plan.
pub(crate) fn heading(prepared: &Prepared, fleet: &str) -> Heading {
    Heading {
        fleet: fleet.to_owned(),
        commit: prepared.revision.commit.clone(),
        subject: prepared.revision.subject.clone(),
        dirty: prepared.revision.dirty,
    }
}

impl From<DaemonError> for CliError {
    fn from(error: DaemonError) -> Self {
        match error {
            DaemonError::Store(error) => error.into(),
            DaemonError::Git(error) => from_git(&error),
            error @ DaemonError::StillRunning { .. } => {
                Self::new(chain(&error)).exit(Exit::LockTimeout).hint(
                    "`pressluft jobs show` names it; stop what runs it, wait until that has \
                     ended, and try again",
                )
            }
            DaemonError::NotOwned(refused) => Self::new(&refused).hint(refused.hint()),
            error @ (DaemonError::SavedPlan { .. } | DaemonError::NotEntitled(_)) => {
                Self::new(chain(&error)).hint("make it again with `pressluft plan --out FILE`")
            }
            error @ (DaemonError::Moved(_) | DaemonError::Outdated(..)) => Self::new(chain(&error))
                .exit(Exit::StalePlan)
                .hint("`pressluft plan` shows what is wanted now; apply that"),
            DaemonError::LeftBehind { ref env, .. } => Self::new(chain(&error))
                .exit(Exit::Usage)
                .hint(format!(
                    "let `{env}` be a part of it as well, or ask for all: nobody would know later that it is behind"
                )),
            other => Self::new(chain(&other)),
        }
    }
}
