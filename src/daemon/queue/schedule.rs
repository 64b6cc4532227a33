//! What is due by a schedule becomes a job.
//!
//! When several times went by unseen, it happens once. What a job is queued or runs for anyway is
//! not doubled: its turn counts as had.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::super::error::DaemonError;
use super::requests::{Request, plan_requests};
use crate::core::condition::{ConditionKind, Standing};
use crate::core::document::scalar::Schedule;
use crate::core::id::ResourceId;
use crate::core::job::{ErrorCode, JobOrigin, JobType};
use crate::core::schedule::{self, Occurrence};
use crate::store::{Due, NewSchedule, Store};

/// When a resource is looked at for drift: every six hours, each at a time of its own, so that a
/// large fleet is looked at all day long and not all at once.
fn drift_schedule(resource: &ResourceId) -> String {
    let hash = blake3::hash(resource.to_string().as_bytes());
    let [minute, hour, ..] = *hash.as_bytes();
    format!("{} {}-23/6 * * *", minute % 60, hour % 6)
}

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
    let looks = store.watched_for_drift()?.into_iter();
    let looks = looks.map(|resource| NewSchedule {
        schedule: drift_schedule(&resource),
        job_type: JobType::DriftCheck,
        resource,
    });
    for wanted in store.recorded_schedules()?.into_iter().chain(looks) {
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
        let check = Request {
            job_type: due.job_type,
            resource: due.resource.clone(),
            reason,
            origin: JobOrigin::Schedule,
        };
        let planned = match is_wanted {
            true => plan_requests(store, &[check], now)?,
            false => None,
        };
        let job = planned
            .as_ref()
            .and_then(|(plan, jobs)| Some((plan, jobs.first()?)));
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn drift_is_looked_for_four_times_a_day_at_different_times() {
        let now: Timestamp = "2026-02-22T00:00:00Z".parse().expect("a time");
        let day: Timestamp = "2026-02-23T00:00:00Z".parse().expect("a time");
        let mut first = std::collections::BTreeSet::new();
        for n in 0..50 {
            let resource = ResourceId::Node(format!("web-{n}"));
            let schedule: Schedule = drift_schedule(&resource).parse().expect("a schedule");
            let mut times = Vec::new();
            let mut after = now - jiff::SignedDuration::from_secs(1);
            while let Some(next) = schedule.next_after(after).filter(|next| *next < day) {
                times.push(next);
                after = next;
            }
            assert_eq!(times.len(), 4, "{resource}");
            first.insert(times[0]);
        }
        assert!(first.len() > 40, "{}", first.len());
    }
}
