//! After a death: every job that is held by a process which is proven dead goes back into the
//! queue. Nothing is concluded from time alone.

use jiff::Timestamp;

use super::error::DaemonError;
use super::worker_id::{Life, WorkerId};
use crate::core::recorded::JobId;
use crate::store::{HeldJob, Store};

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
        match state(&held)? {
            State::Dead => {
                let message = "the process that ran the job ended before the job did";
                store.mark_interrupted(held.job.id, held.token, message, now, actor, now)?;
                recovery.interrupted.push(held.job.id);
            }
            State::Ending => recovery.ending.push(held.job.id),
            State::Held => recovery.held.push((held.job.id, held.worker)),
        }
    }
    Ok(recovery)
}

enum State {
    Held,
    Ending,
    Dead,
}

fn state(held: &HeldJob) -> Result<State, DaemonError> {
    let Ok(worker) = held.worker.parse::<WorkerId>() else {
        return Ok(State::Held);
    };
    match worker.life()? {
        Life::Alive | Life::Elsewhere => return Ok(State::Held),
        Life::Dead => {}
    }
    let Some(process) = &held.process else {
        return Ok(State::Dead);
    };
    let child = WorkerId {
        machine: worker.machine,
        boot: process.boot_id.clone(),
        pid: process.pid,
        start: process.start,
    };
    match child.life()? {
        Life::Dead => Ok(State::Dead),
        Life::Alive | Life::Elsewhere => Ok(State::Ending),
    }
}
