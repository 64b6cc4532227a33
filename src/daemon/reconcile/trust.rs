//! Whether a revision may follow the one in force: nobody rewrote the branch, and every commit in
//! between is signed by somebody on the list.

use crate::core::reconcile::Refusal;
use crate::git::{self, GitError, History, Reference, Signers, Snapshot, Verified};
use crate::store::Refused;

use super::source::FleetSource;

/// A push of more commits than this is not checked one by one; nobody writes that many by hand.
const MOST_COMMITS: usize = 20_000;

/// What is asked of a revision before it counts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Trust {
    /// Whether it may leave out what is in force: a rewritten branch.
    pub allow_rewind: bool,
    /// Whose signatures are needed; none: they are not looked at.
    pub signers: Option<Signers>,
}

impl Trust {
    /// Why `snapshot` may not follow `in_force`, or none when it may.
    pub(super) fn refuses(
        &self,
        snapshot: &Snapshot,
        in_force: Option<&str>,
        source: &FleetSource,
    ) -> Result<Option<Refused>, GitError> {
        let revision = &snapshot.revision;
        let refused = |code, message: String| {
            let commit = revision.commit.clone();
            Ok(Some(Refused {
                code,
                message,
                commit,
            }))
        };
        let Some(commit) = &revision.commit else {
            return match &self.signers {
                Some(_) => refused(
                    Refusal::Uncommitted,
                    "only commits can be signed, and there is none".to_owned(),
                ),
                None => Ok(None),
            };
        };
        if self.signers.is_some() && revision.dirty {
            let files = revision.dirty_paths.join("`, `");
            return refused(Refusal::Uncommitted, format!("`{files}` is not committed"));
        }
        let Some(history) = snapshot.history()? else {
            return Ok(None);
        };
        // A state that was never committed is not in any history.
        let in_force = in_force.filter(|known| !known.starts_with("dirty:"));
        let follows = match in_force {
            Some(known) => history.follows(commit, known)?,
            None => true,
        };
        // Whoever names a commit, or works in the directory itself, has said what he wants.
        let is_named = match source {
            FleetSource::WorkingTree(_) => true,
            FleetSource::Remote { reference, .. } => matches!(reference, Reference::Commit(_)),
        };
        if !follows && !self.allow_rewind && !is_named {
            let known = short(in_force.unwrap_or_default());
            let new = short(commit);
            return match history.is_cut() {
                true => refused(
                    Refusal::MissingHistory,
                    format!(
                        "the history of `{new}` is not there back to `{known}`, which is in force"
                    ),
                ),
                false => refused(
                    Refusal::NotFastForward,
                    format!(
                        "`{new}` does not follow `{known}`, which is in force: the branch was rewritten"
                    ),
                ),
            };
        }
        match &self.signers {
            Some(signers) => unsigned(&history, commit, in_force, signers),
            None => Ok(None),
        }
    }
}

/// Why the commits since `in_force` are not all signed as they have to be. Of the first revision
/// that is ever seen only the commit itself is looked at: its signature is for all that it holds.
fn unsigned(
    history: &History,
    newest: &str,
    in_force: Option<&str>,
    signers: &Signers,
) -> Result<Option<Refused>, GitError> {
    let limit = match in_force {
        Some(_) => MOST_COMMITS + 1,
        None => 1,
    };
    // Where a rewritten branch has left out what was in force, everything is new.
    let known = in_force.filter(|known| history.has(known));
    let changes = history.between(newest, known, limit)?;
    if changes.len() > MOST_COMMITS {
        return Ok(Some(Refused {
            code: Refusal::MissingHistory,
            message: format!("more than {MOST_COMMITS} commits came at once"),
            commit: Some(newest.to_owned()),
        }));
    }
    for change in changes {
        let name = format!("`{}` ({})", short(&change.commit), change.revision.subject);
        let author = change.revision.author.as_ref();
        let author = author.map_or_else(String::new, |author| format!(" by {}", author.email));
        let (code, message) = match history.signature(&change.commit)? {
            None => (
                Refusal::Unsigned,
                format!("commit {name}{author} is not signed"),
            ),
            Some(signature) => match git::verify(&signature, signers)? {
                Verified::By(signer) => {
                    tracing::debug!(commit = %change.commit, %signer, "the signature is good");
                    continue;
                }
                Verified::Unknown => (
                    Refusal::UnknownSigner,
                    format!("commit {name}{author} is signed by nobody on the list"),
                ),
                Verified::Bad => (
                    Refusal::BadSignature,
                    format!("the signature of commit {name}{author} does not fit it"),
                ),
            },
        };
        return Ok(Some(Refused {
            code,
            message,
            commit: Some(change.commit),
        }));
    }
    Ok(None)
}

fn short(commit: &str) -> &str {
    commit.get(..12).unwrap_or(commit)
}
