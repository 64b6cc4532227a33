//! What is due by a schedule becomes a job.
//!
//! When several times went by unseen, it happens once. What a job is queued or runs for anyway is
//! not doubled: its turn counts as had.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::error::DaemonError;
use super::reset::health_check;
use crate::core::condition::{ConditionKind, Standing};
use crate::core::document::scalar::Schedule;
use crate::core::id::ResourceId;
use crate::core::job::{ErrorCode, JobType};
use crate::core::schedule::{self, Occurrence};
use crate::store::{Due, Store};

/// Takes over the schedules of what is recorded: new ones, changed ones, those that are gone. A
/// clock that was set back moves them back, too.
///
/// # Errors
/// When the database fails.
pub fn sync_schedules(store: &mut Store, now: Timestamp) -> Result<(), DaemonError> {
    let key = |resource: &ResourceId, job_type: JobType| (resource.clone(), job_type);
    let mut known: BTreeMap<(ResourceId, JobType), Due> = store
        .schedules(None)?
        .into_iter()
        .map(|due| (key(&due.resource, due.job_type), due))
        .collect();
    let mut kept = Vec::new();
    for wanted in store.recorded_schedules()? {
        let next = next(&wanted.schedule, &wanted.resource, wanted.job_type, now);
        let old = known.remove(&key(&wanted.resource, wanted.job_type));
        let is_good = old.as_ref().is_some_and(|old| {
            old.schedule == wanted.schedule
                && next.is_none_or(|next| old.next.nominal <= next.nominal)
        });
        if let Some(next) = next.filter(|_| !is_good) {
            kept.push(Due {
                resource: wanted.resource,
                job_type: wanted.job_type,
                schedule: wanted.schedule,
                next,
            });
        }
    }
    let gone: Vec<_> = known.into_keys().collect();
    Ok(store.keep_schedules(&kept, &gone)?)
}

/// Queues what is due at `now`; how many jobs.
///
/// # Errors
/// When the database fails or something that a job needs is not recorded.
pub fn run_due(store: &mut Store, actor: &str, now: Timestamp) -> Result<usize, DaemonError> {
    if store.pause()?.is_some() {
        return Ok(0);
    }
    let mut queued = 0;
    for due in store.schedules(Some(now))? {
        let next = next(&due.schedule, &due.resource, due.job_type, now);
        let standing = store.standing(&due.resource, now)?;
        let is_wanted = standing.is_some_and(|standing| match standing.condition.kind() {
            ConditionKind::Suspended | ConditionKind::Reconciling => false,
            // One that waits for its node has a job, or would only wait as well.
            ConditionKind::Stalled => standing.applied_revision.is_some() && !is_away(&standing),
            ConditionKind::Ready
            | ConditionKind::Failed
            | ConditionKind::Blocked
            | ConditionKind::Drifted => standing.applied_revision.is_some(),
        });
        let reason = format!("scheduled for {}", due.next.nominal);
        let job = match is_wanted {
            true => Some(health_check(store, &due.resource, &reason, now)?),
            false => None,
        };
        let job = job.as_ref().map(|(plan, job)| (plan, job));
        let moved = store.enqueue_due(&due, next, job, actor, now)?;
        queued += usize::from(moved && job.is_some());
    }
    Ok(queued)
}

fn is_away(standing: &Standing) -> bool {
    let code = ErrorCode::AnsibleHostUnreachable.as_str();
    standing.condition.code() == Some(code)
}

/// The next time; none for a schedule that never comes, or that another version wrote.
fn next(
    schedule: &str,
    resource: &ResourceId,
    job_type: JobType,
    now: Timestamp,
) -> Option<Occurrence> {
    let schedule: Schedule = schedule.parse().ok()?;
    schedule::next(&schedule, now, &format!("{job_type} {resource}"))
}
