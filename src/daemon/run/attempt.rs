//! One attempt at one job: from the claim to its one terminal record.

mod inputs;
mod play;
mod work;

use std::time::Instant;

use jiff::{SignedDuration, Timestamp};

use super::super::error::DaemonError;
use super::super::sources::SourceSettings;
use super::disk;
use super::progress::{JobLabel, Progress, Wait};
use super::stop::{Reason, Reins};
use super::timeouts::Timeouts;
use crate::ansible::Engine;
use crate::clock;
use crate::core::causes::chain;
use crate::core::job::{ErrorCode, JobStatus};
use crate::core::outcome::Failure;
use crate::core::retry::{self, Next};
use crate::core::secret_owner::Reserved;
use crate::secrets::Identity;
use crate::store::{Claim, Finish, Outcome, Store, StoreError};
use work::AttemptContext;

/// What every attempt of this process uses.
#[expect(missing_debug_implementations, reason = "it holds the identity")]
pub struct Runner {
    pub engine: Engine,
    pub identity: Identity,
    pub database: std::path::PathBuf,
    /// Who asked for the run, for the audit record.
    pub actor: String,
    pub timeouts: Timeouts,
    /// The names of secrets that no job may have.
    pub reserved: Reserved,
    /// What the documents may name on this machine and in the network.
    pub sources: SourceSettings,
}

/// How an attempt ended, as it is recorded.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Attempted {
    pub(super) status: JobStatus,
    pub(super) failure: Option<Failure>,
    /// What the job waits for when it is tried again.
    pub(super) wait: Option<Wait>,
    /// Whether the disk of the control plane was in its way.
    pub(super) was_excused: bool,
}

/// Runs the claimed job and records how it ended.
///
/// # Errors
/// When the database fails, or another worker holds the job by now. That the job failed is no
/// error.
pub(super) fn run(
    runner: &Runner,
    claim: &Claim,
    label: &JobLabel,
    tell: &mut dyn FnMut(Progress),
    reins: &Reins,
) -> Result<Attempted, DaemonError> {
    tracing::debug!(job = %claim.job.id, "claimed");
    let mut store = Store::open(&runner.database)?;
    let mut work = AttemptContext {
        runner,
        claim,
        label,
        tell,
        reins,
        store: &mut store,
        begun: Instant::now(),
        address: None,
    };
    let mut in_the_way = false;
    let carried_out = match work.carry_out() {
        Ok(carried_out) => carried_out,
        Err(DaemonError::Store(error @ StoreError::Stale { .. })) => {
            return give_back(runner, claim, &mut store, error);
        }
        // Whatever else goes wrong here is the end of this job and of no other.
        Err(error) => {
            in_the_way = disk::is_in_the_way(&error);
            Err(Failure::new(ErrorCode::InternalError, &chain(&error)))
        }
    };
    let address = work.address.take();
    let mut was_excused = false;
    let now = clock::now();
    let (outcome, changes, failure) = match carried_out {
        Ok(changes) => (Outcome::Succeeded, changes, None),
        Err(failure) => {
            let outcome = match reins.reason() {
                Some(Reason::Cancelled(why)) => Outcome::Cancelled {
                    message: format!("{why}: {}", failure.message),
                },
                Some(Reason::Requeued(why)) => Outcome::Retry {
                    code: ErrorCode::JobInterrupted,
                    message: format!("{why}: {}", failure.message),
                    run_after: now,
                    spend_attempt: false,
                },
                // Refused, and given back below, if somebody else has the job by now.
                Some(Reason::LostLease) | None => {
                    match disk::excuse(&store, &failure, in_the_way) {
                        Some(outcome) => {
                            was_excused = true;
                            outcome
                        }
                        None => after_failure(claim, &failure, address, &store, now)?,
                    }
                }
            };
            (outcome, Vec::new(), Some(failure))
        }
    };
    let wait = match &outcome {
        Outcome::Retry { run_after, .. } => Some(Wait::Until(*run_after)),
        Outcome::Park { .. } => Some(Wait::Node),
        Outcome::Succeeded | Outcome::Failed { .. } | Outcome::Cancelled { .. } => None,
    };
    let finish = Finish {
        job: claim.job.id,
        token: claim.token,
        outcome,
        changes: &changes,
    };
    let ended = disk::record_end(&mut store, &finish, &runner.actor, reins);
    tracing::debug!(job = %claim.job.id, "recorded");
    match ended {
        Ok(status) => Ok(Attempted {
            status,
            failure,
            wait: wait.filter(|_| !status.is_terminal()),
            was_excused,
        }),
        Err(error @ StoreError::Stale { .. }) => give_back(runner, claim, &mut store, error),
        Err(error) => Err(error.into()),
    }
}

/// Records that a bug ended the attempt: the end of this job and of no other. What it had started
/// was stopped when its thread unwound.
///
/// # Errors
/// When the database fails, or another worker holds the job by now.
pub(super) fn give_up(runner: &Runner, claim: &Claim) -> Result<Attempted, DaemonError> {
    let failure = Failure::new(
        ErrorCode::InternalError,
        "a bug ended the thread of the job",
    );
    let outcome = Outcome::Failed {
        code: failure.code,
        message: format!("{}\nhint: {}", failure.message, failure.hint),
    };
    let finish = Finish {
        job: claim.job.id,
        token: claim.token,
        outcome,
        changes: &[],
    };
    let status = Store::open(&runner.database)?.finish(&finish, &runner.actor, clock::now())?;
    Ok(Attempted {
        status,
        failure: Some(failure),
        wait: None,
        was_excused: false,
    })
}

/// What becomes of the job after this failure.
fn after_failure(
    claim: &Claim,
    failure: &Failure,
    address: Option<(String, u16)>,
    store: &Store,
    now: Timestamp,
) -> Result<Outcome, DaemonError> {
    let code = failure.code;
    let message = format!("{}\nhint: {}", failure.message, failure.hint);
    let (spent, max) = (claim.job.attempt_count, claim.job.max_attempts);
    Ok(
        match (retry::next(code, spent, max, rand::random()), address) {
            (Next::Retry(wait), _) => Outcome::Retry {
                code,
                message,
                run_after: now.saturating_add(wait).unwrap_or(Timestamp::MAX),
                spend_attempt: true,
            },
            (Next::Park, Some((host, port))) => {
                let mut known = store.unreachable_nodes()?.into_iter();
                let known = known.find(|node| node.node == claim.job.node_id);
                let (away, attempts) = known.map_or((SignedDuration::ZERO, 1), |node| {
                    (now.duration_since(node.since), node.attempts + 1)
                });
                let wait = retry::probe_wait(away, attempts, rand::random());
                Outcome::Park {
                    code,
                    message,
                    host,
                    port,
                    next_probe_at: now.saturating_add(wait).unwrap_or(Timestamp::MAX),
                }
            }
            (Next::GiveUp | Next::Park, _) => Outcome::Failed { code, message },
        },
    )
}

/// The lease was lost, and what this attempt had started has ended: the job is free for others,
/// unless one of them has it already.
fn give_back(
    runner: &Runner,
    claim: &Claim,
    store: &mut Store,
    stale: StoreError,
) -> Result<Attempted, DaemonError> {
    let message = "its worker lost the lease and has stopped it";
    let (job, actor, now) = (claim.job.id, &runner.actor, clock::now());
    match store.mark_interrupted(job, claim.token, message, now, actor, now) {
        Ok(status) => Ok(Attempted {
            status,
            failure: Some(Failure::new(ErrorCode::JobInterrupted, message)),
            wait: (!status.is_terminal()).then_some(Wait::Until(now)),
            was_excused: false,
        }),
        Err(StoreError::Stale { .. }) => Err(stale.into()),
        Err(error) => Err(error.into()),
    }
}
