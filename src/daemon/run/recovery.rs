//! After a death, or a lease that was lost: a job goes back into the queue when what ran it is
//! proven to be over. Time alone decides only where nobody can look, and only when a job's own
//! is over.
//!
//! A process is recorded before it may begin, so an attempt without one has started nothing.

use std::io;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::super::error::DaemonError;
use super::timeouts::Timeouts;
use super::worker_id::{Life, WorkerId};
use crate::ansible;
use crate::core::job::JobStatus;
use crate::core::recorded::JobId;
use crate::store::{LeasedJob, Process, Store, StoreError};

/// How long what a dead worker started may take to end: the supervisor's grace, and some more.
const ENDING: Duration = Duration::from_secs(35);

/// What became of the jobs that were held.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recovery {
    /// What ran them is over; they are settled.
    pub interrupted: Vec<JobId>,
    /// Their worker lives, or cannot be judged from here.
    pub held: Vec<(JobId, String)>,
    /// Their worker is dead, but what it started is still ending.
    pub ending: Vec<JobId>,
}

/// Marks the jobs whose lease ended, and settles those that nothing works on any more.
///
/// # Errors
/// When the database or `/proc` cannot be read.
pub fn recover(
    store: &mut Store,
    actor: &str,
    timeouts: &Timeouts,
    now: Timestamp,
) -> Result<Recovery, DaemonError> {
    store.expire_leases(actor, now)?;
    let mut recovery = Recovery::default();
    for held in store.leased_jobs()? {
        match state(&held, timeouts, now)? {
            State::Over(message) => {
                match store.settle_interrupted(&held, message, now, actor, now) {
                    Ok(_) => {
                        recovery.interrupted.push(held.job.id);
                        tidy(&held)?;
                    }
                    // Another process has settled it already, or the job had begun after all
                    // when this one looked; then the next look sees that.
                    Err(StoreError::Stale { .. }) => {}
                    Err(error) => return Err(error.into()),
                }
            }
            State::Ending => recovery.ending.push(held.job.id),
            State::Left(child) => {
                ansible::end_leftovers(child.pid, child.start).map_err(DaemonError::Process)?;
                recovery.ending.push(held.job.id);
            }
            State::Held => recovery.held.push((held.job.id, held.worker)),
        }
    }
    Ok(recovery)
}

/// Whether nothing works on the job any more.
pub(super) fn is_over(
    held: &LeasedJob,
    timeouts: &Timeouts,
    now: Timestamp,
) -> Result<bool, DaemonError> {
    Ok(matches!(state(held, timeouts, now)?, State::Over(_)))
}

enum State {
    Held,
    Ending,
    /// This supervisor was killed, and something of its job lives on.
    Left(WorkerId),
    /// Nothing works on it any more, and why.
    Over(&'static str),
}

fn state(held: &LeasedJob, timeouts: &Timeouts, now: Timestamp) -> Result<State, DaemonError> {
    let Ok(worker) = held.worker.parse::<WorkerId>() else {
        return Ok(State::Held);
    };
    let life = worker.life().map_err(DaemonError::Process)?;
    let unsettled = match life {
        Life::Alive if held.job.status != JobStatus::Unknown => return Ok(State::Held),
        Life::Alive => State::Held,
        Life::Dead => State::Ending,
        Life::Elsewhere => {
            let limit = timeouts.of(held.job.job_type) + ENDING;
            return Ok(
                if now > held.lease_expires_at && has_passed(held, limit, now) {
                    State::Over("its time was over, and nobody can look at its worker from here")
                } else {
                    State::Held
                },
            );
        }
    };
    let over = if life == Life::Dead {
        State::Over("the process that ran the job ended before the job did")
    } else {
        State::Over("its worker lost the lease, and what it had started has ended")
    };
    let Some(process) = &held.process else {
        return Ok(over);
    };
    let child = supervisor(worker, process);
    match child.life().map_err(DaemonError::Process)? {
        Life::Dead if has_left(&child).map_err(DaemonError::Process)? => Ok(State::Left(child)),
        Life::Dead => Ok(over),
        Life::Alive | Life::Elsewhere => Ok(unsettled),
    }
}

/// Removes the control group of a job that is over, which its supervisor does unless it is killed.
fn tidy(held: &LeasedJob) -> Result<(), DaemonError> {
    if let (Some(process), Ok(worker)) = (&held.process, held.worker.parse::<WorkerId>()) {
        let child = supervisor(worker, process);
        if child.is_of_this_boot().map_err(DaemonError::Process)? {
            ansible::end_leftovers(child.pid, child.start).map_err(DaemonError::Process)?;
        }
    }
    Ok(())
}

/// The supervisor of an attempt: a process of its worker's machine.
fn supervisor(worker: WorkerId, process: &Process) -> WorkerId {
    WorkerId {
        machine: worker.machine,
        namespace: worker.namespace,
        boot: process.boot_id.clone(),
        pid: process.pid,
        start: process.start,
    }
}

/// Whether something of the job lives on after its supervisor.
fn has_left(supervisor: &WorkerId) -> io::Result<bool> {
    Ok(supervisor.is_of_this_boot()?
        && !ansible::leftovers(supervisor.pid, supervisor.start)?.is_empty())
}

/// Whether this long has passed since the job was claimed.
fn has_passed(held: &LeasedJob, time: Duration, now: Timestamp) -> bool {
    let since = held.job.locked_at.unwrap_or(held.job.updated_at);
    let time = SignedDuration::try_from(time).unwrap_or(SignedDuration::MAX);
    since.saturating_add(time).is_ok_and(|end| now > end)
}
