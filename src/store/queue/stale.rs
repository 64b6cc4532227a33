//! Whether a job was planned from what is recorded no more.

use super::super::sql::Connection;

use super::super::Store;
use super::super::convert::{corrupt, parsed, unsigned};
use super::super::error::{Result, StoreError};
use super::super::record::resource::generation;
use super::job::{Job, require};
use crate::core::recorded::JobId;

impl Store {
    /// Whether something else was recorded of the job's resource since it was planned.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] without such a job.
    pub fn job_is_stale(&self, id: JobId) -> Result<bool> {
        is_stale(&self.connection, &require(&self.connection, id)?)
    }
}

/// Whether the record of the job's resource was changed by anything but its own plan since.
pub(super) fn is_stale(tx: &Connection, job: &Job) -> Result<bool> {
    let (base, plan) = tx
        .prepare_cached("SELECT base_generation, plan_id FROM jobs WHERE id = ?1")?
        .query_and_then([job.id.to_string()], |row| {
            Ok::<_, StoreError>((
                unsigned(row, "base_generation")?,
                parsed::<String>(row, "plan_id")?,
            ))
        })?
        .next()
        .transpose()?
        .ok_or_else(|| corrupt(format!("job `{}` is gone", job.id)))?;
    let (current, recorded_by) = generation(tx, &job.resource.to_string())?;
    Ok(current != base && recorded_by.as_deref() != Some(plan.as_str()))
}
