//! A restore, which nothing that still runs may get in the way of.

use std::path::Path;

use jiff::Timestamp;

use super::super::error::DaemonError;
use super::recovery;
use super::timeouts::Timeouts;
use crate::core::recorded::JobId;
use crate::store::{Exclusive, Restored};

/// Puts the backup `file` in the place of `database`.
///
/// # Errors
/// [`DaemonError::StillRunning`] when a job of the database may still be at work, and those of
/// [`Exclusive::replace_with`]. Then nothing has changed.
pub fn restore(
    database: &Path,
    file: &Path,
    actor: &str,
    timeouts: &Timeouts,
    now: Timestamp,
) -> Result<Restored, DaemonError> {
    let exclusive = Exclusive::take(database)?;
    let mut running: Vec<JobId> = Vec::new();
    for held in exclusive.leased_jobs()? {
        if !recovery::is_over(&held, timeouts, now)? {
            running.push(held.job.id);
        }
    }
    match running.first() {
        Some(first) => Err(DaemonError::StillRunning {
            job: *first,
            count: running.len(),
        }),
        None => Ok(exclusive.replace_with(file, actor, now)?),
    }
}
