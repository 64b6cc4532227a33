//! After a death: every job that is held by a process which is proven dead goes back into the
//! queue. Time alone decides only where nobody can look, and only when a job's own is over.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::attempt::JOB_TIMEOUT;
use super::error::DaemonError;
use super::worker_id::{Life, WorkerId};
use crate::core::recorded::JobId;
use crate::store::{HeldJob, Store, StoreError};

/// How long what a dead worker started may take to end: the supervisor's grace, and some more.
const ENDING: Duration = Duration::from_secs(35);

/// What became of the jobs that were held when this process started.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recovery {
    /// Their worker is dead; they are settled.
    pub interrupted: Vec<JobId>,
    /// Their worker lives, or cannot be judged from here.
    pub held: Vec<(JobId, String)>,
    /// Their worker is dead, but what it started is still ending.
    pub ending: Vec<JobId>,
}

/// Settles the jobs of dead workers.
///
/// # Errors
/// When the database or `/proc` cannot be read.
pub fn recover(store: &mut Store, actor: &str, now: Timestamp) -> Result<Recovery, DaemonError> {
    let mut recovery = Recovery::default();
    for held in store.held_jobs()? {
        match state(&held, now)? {
            State::Dead => {
                let message = "the process that ran the job ended before the job did";
                match store.mark_interrupted(held.job.id, held.token, message, now, actor, now) {
                    Ok(_) => recovery.interrupted.push(held.job.id),
                    // Another process that starts at this moment has settled it already.
                    Err(StoreError::Stale { .. }) => {}
                    Err(error) => return Err(error.into()),
                }
            }
            State::Ending => recovery.ending.push(held.job.id),
            State::Held => recovery.held.push((held.job.id, held.worker)),
        }
    }
    Ok(recovery)
}

/// Whether nothing works on the job any more.
pub(super) fn is_dead(held: &HeldJob, now: Timestamp) -> Result<bool, DaemonError> {
    Ok(matches!(state(held, now)?, State::Dead))
}

enum State {
    Held,
    Ending,
    Dead,
}

fn state(held: &HeldJob, now: Timestamp) -> Result<State, DaemonError> {
    let Ok(worker) = held.worker.parse::<WorkerId>() else {
        return Ok(State::Held);
    };
    let since = held.job.locked_at.unwrap_or(held.job.updated_at);
    let has_passed = |time: Duration| {
        let time = SignedDuration::try_from(time).unwrap_or(SignedDuration::MAX);
        since.saturating_add(time).is_ok_and(|end| now > end)
    };
    match worker.life().map_err(DaemonError::Process)? {
        Life::Alive => return Ok(State::Held),
        // Nobody can look there, but no worker lets a job run longer than this.
        Life::Elsewhere if now > held.lease_expires_at && has_passed(JOB_TIMEOUT + ENDING) => {
            return Ok(State::Dead);
        }
        Life::Elsewhere => return Ok(State::Held),
        Life::Dead => {}
    }
    let Some(process) = &held.process else {
        // It may have died between starting the process and recording it.
        return Ok(if has_passed(ENDING) {
            State::Dead
        } else {
            State::Ending
        });
    };
    let child = WorkerId {
        machine: worker.machine,
        namespace: worker.namespace,
        boot: process.boot_id.clone(),
        pid: process.pid,
        start: process.start,
    };
    match child.life().map_err(DaemonError::Process)? {
        Life::Dead => Ok(State::Dead),
        Life::Alive | Life::Elsewhere => Ok(State::Ending),
    }
}
