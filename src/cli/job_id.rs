//! Which job somebody means.

use super::error::CliError;
use crate::core::recorded::JobId;
use crate::store::{Job, Store};

/// The job with this id, or the only one whose id begins or ends so.
pub(super) fn find(store: &Store, text: &str) -> Result<Job, CliError> {
    if let Ok(id) = text.parse::<JobId>() {
        return store.job(id)?.ok_or_else(|| unknown(text));
    }
    let mut found = match text.len() {
        0..4 => Vec::new(),
        _ => store.jobs_like(text, 2)?,
    }
    .into_iter();
    match (found.next(), found.next()) {
        (Some(job), None) => Ok(job),
        (Some(_), Some(_)) => Err(CliError::new(format!("more than one job matches `{text}`"))
            .hint("the last characters of an id differ most")),
        (None, _) => Err(unknown(text)),
    }
}

fn unknown(text: &str) -> CliError {
    CliError::new(format!("there is no job `{text}`")).hint("`pressluft jobs list` has the ids")
}
