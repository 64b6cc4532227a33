//! Taking back what was queued and nobody has begun.

use jiff::Timestamp;

use super::Store;
use super::convert::{get, parsed};
use super::enqueue::end_superseded;
use super::error::{Result, StoreError};
use crate::core::job::ErrorCode;
use crate::core::recorded::JobId;

impl Store {
    /// Cancels the jobs of `actor`'s plans that would change something and have not begun, with
    /// what waits for them, for the reason in `message`. All that were cancelled.
    ///
    /// What has been begun is carried to its end: a job that an attempt has done something for is
    /// left alone, and so is what waits for a job that runs.
    ///
    /// # Errors
    /// When the database fails; then none is.
    pub fn withdraw(&mut self, actor: &str, message: &str, now: Timestamp) -> Result<Vec<JobId>> {
        if !self.has_queued_changes()? {
            return Ok(Vec::new());
        }
        self.write(|tx| {
            let mut withdrawn = Vec::new();
            loop {
                let found = tx
                    .prepare_cached(
                        "SELECT id, job_type, resource FROM jobs INDEXED BY jobs_ready
                         WHERE status = 'queued' AND blocked_by = 0
                           AND NOT EXISTS (SELECT 1 FROM attempts WHERE job = jobs.id
                               AND error_code IS NOT ?2)
                           AND (SELECT changes <> '[]' FROM job_payloads WHERE job = jobs.id)
                           AND (SELECT created_by = ?1 FROM plans WHERE id = jobs.plan_id)
                         ORDER BY node_id, sequence LIMIT 1",
                    )?
                    .query_and_then([actor, ErrorCode::AnsibleHostUnreachable.as_str()], |row| {
                        let what: (String, String) = (get(row, "job_type")?, get(row, "resource")?);
                        Ok::<_, StoreError>((parsed::<JobId>(row, "id")?, what))
                    })?
                    .next()
                    .transpose()?;
                let Some((job, (job_type, resource))) = found else {
                    return Ok(withdrawn);
                };
                let what = format!("`{job_type}` of `{resource}`");
                let message = message.to_owned();
                withdrawn.extend(end_superseded(tx, job, &what, message, actor, now)?);
            }
        })
    }
}
