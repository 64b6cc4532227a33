//! The worker: claims jobs of its plans, runs each in a thread of its own, keeps their leases.
//!
//! One loop dispatches; the threads send it messages and share nothing with it.

use std::collections::{BTreeMap, BTreeSet};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use super::attempt::{self, Attempted, Runner};
use super::error::DaemonError;
use super::progress::{JobEnd, JobLabel, Progress};
use super::worker_id::WorkerId;
use crate::ansible::Cancel;
use crate::clock;
use crate::core::job::{JobStatus, JobType};
use crate::core::recorded::{JobId, PlanId};
use crate::store::{Claim, JobFilter, Scope, Store, StoreError};

/// How often the lease of a running job is renewed.
const HEARTBEAT: Duration = Duration::from_secs(10);
/// How often the queue is looked at while nothing else happens: another process may have
/// finished what a job waits for.
const POLL: Duration = Duration::from_millis(500);

/// Asks a worker to stop, from a signal handler or another thread.
#[derive(Clone, Debug, Default)]
pub struct Stop(Arc<AtomicU8>);

impl Stop {
    /// Starts nothing new, and stops what runs.
    pub fn stop(&self) {
        self.0.store(1, Ordering::SeqCst);
    }

    /// Whether stopping was asked for.
    #[must_use]
    pub fn is_stopped(&self) -> bool {
        self.0.load(Ordering::SeqCst) > 0
    }
}

/// How many jobs of the plan ended how.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    pub succeeded: u64,
    pub failed: u64,
    pub cancelled: u64,
    /// Neither ended nor running here: another worker has them, or they wait.
    pub open: u64,
    /// Whether all that failed here were health checks of what was applied.
    pub only_unhealthy: bool,
    pub interrupted: bool,
}

impl Summary {
    fn count(&mut self, status: JobStatus) {
        match status {
            JobStatus::Succeeded => self.succeeded += 1,
            JobStatus::Failed => self.failed += 1,
            JobStatus::Cancelled => self.cancelled += 1,
            JobStatus::Queued | JobStatus::Running | JobStatus::Unknown => self.open += 1,
        }
    }

    fn add(&mut self, other: Self) {
        self.succeeded += other.succeeded;
        self.failed += other.failed;
        self.cancelled += other.cancelled;
        self.open += other.open;
    }
}

enum Message {
    Progress(Progress),
    Done(JobId, Result<Attempted, DaemonError>),
}

struct Running {
    label: JobLabel,
    plan: PlanId,
    token: u64,
    cancel: Cancel,
    since: Instant,
}

/// What a worker runs.
#[derive(Clone, Debug, Default)]
pub struct Plans {
    /// The plan that was just queued.
    pub own: Option<PlanId>,
    /// Plans whose own worker is gone: what they left queued runs, too.
    pub adopted: Vec<PlanId>,
}

/// The plans with jobs in the queue that no living worker works on.
///
/// # Errors
/// When the database fails.
pub fn left_behind(store: &Store) -> Result<Vec<PlanId>, DaemonError> {
    let held: BTreeSet<PlanId> = store
        .held_jobs()?
        .iter()
        .map(|held| held.job.plan_id)
        .collect();
    let mut plans = BTreeSet::new();
    let mut filter = JobFilter {
        status: Some(JobStatus::Queued),
        limit: 1_000,
        ..JobFilter::default()
    };
    loop {
        let page = store.jobs(&filter)?;
        plans.extend(page.jobs.iter().map(|job| job.plan_id));
        match page.cursor {
            Some(cursor) => filter.cursor = Some(cursor),
            None => return Ok(plans.difference(&held).copied().collect()),
        }
    }
}

/// Runs the jobs of `plans` until none is left that could run, at most `parallel` at once.
///
/// # Errors
/// When the database fails; what runs then is stopped first.
pub fn run(
    runner: &Arc<Runner>,
    store: &mut Store,
    plans: &Plans,
    parallel: usize,
    stop: &Stop,
    watch: &mut dyn FnMut(Progress),
) -> Result<Summary, DaemonError> {
    let all: Vec<PlanId> = plans.own.iter().chain(&plans.adopted).copied().collect();
    let worker = WorkerId::this().map_err(DaemonError::Process)?.to_string();
    let (sender, receiver) = mpsc::channel::<Message>();
    let mut running: BTreeMap<JobId, Running> = BTreeMap::new();
    let (mut unhealthy, mut failed) = (0_u64, 0_u64);
    let mut adopted = Summary::default();
    let mut beat = Instant::now();
    let mut failure: Option<DaemonError> = None;
    loop {
        let stopping = stop.is_stopped() || failure.is_some();
        while !stopping && running.len() < parallel.max(1) {
            match store.claim(&worker, Scope::Plans(&all), clock::now()) {
                Ok(Some(claim)) => {
                    let job = spawn(runner, claim, &sender, watch)?;
                    running.insert(job.label.id, job);
                }
                Ok(None) => break,
                Err(error) => {
                    failure = Some(error.into());
                    break;
                }
            }
        }
        if stopping {
            running.values().for_each(|job| job.cancel.cancel());
        }
        if running.is_empty() && (stopping || !waits(store, &all)?) {
            break;
        }
        match receiver.recv_timeout(POLL) {
            Ok(Message::Progress(progress)) => watch(progress),
            Ok(Message::Done(id, result)) => {
                if let Some(job) = running.remove(&id) {
                    match result {
                        Ok(attempted) => {
                            if Some(job.plan) != plans.own {
                                adopted.count(attempted.status);
                            }
                            failed += u64::from(attempted.status == JobStatus::Failed);
                            unhealthy += u64::from(
                                attempted.is_unhealthy()
                                    && job.label.job_type == JobType::HealthCheck,
                            );
                            watch(finished(job, attempted));
                        }
                        // Somebody else has the job by now; the others are still ours.
                        Err(DaemonError::Store(error @ StoreError::Stale { .. })) => {
                            tracing::warn!(job = %id, %error, "the job was taken over");
                        }
                        Err(error) => failure = failure.or(Some(error)),
                    }
                }
            }
            Err(RecvTimeoutError::Timeout) => {}
            // Never happens while this function holds a sender.
            Err(RecvTimeoutError::Disconnected) => break,
        }
        if beat.elapsed() >= HEARTBEAT {
            beat = Instant::now();
            for (id, job) in &running {
                match store.heartbeat(*id, job.token, clock::now()) {
                    Ok(_) => {}
                    // Someone else has the job by now: what runs here must not go on.
                    Err(StoreError::Stale { .. }) => job.cancel.cancel(),
                    Err(error) => failure = failure.or(Some(error.into())),
                }
            }
        }
    }
    if let Some(error) = failure {
        return Err(error);
    }
    let mut summary = Summary {
        only_unhealthy: unhealthy > 0 && unhealthy == failed,
        interrupted: stop.is_stopped(),
        ..Summary::default()
    };
    summary.add(adopted);
    if let Some(plan) = plans.own {
        for (status, count) in store.job_counts(plan)? {
            match status {
                JobStatus::Succeeded => summary.succeeded += count,
                JobStatus::Failed => summary.failed += count,
                JobStatus::Cancelled => summary.cancelled += count,
                JobStatus::Queued | JobStatus::Running | JobStatus::Unknown => {
                    summary.open += count;
                }
            }
        }
    }
    Ok(summary)
}

/// Whether a job of these plans may still come up.
fn waits(store: &Store, plans: &[PlanId]) -> Result<bool, StoreError> {
    for plan in plans {
        if store
            .job_counts(*plan)?
            .iter()
            .any(|(status, _)| !status.is_terminal())
        {
            return Ok(true);
        }
    }
    Ok(false)
}

fn spawn(
    runner: &Arc<Runner>,
    claim: Claim,
    sender: &mpsc::Sender<Message>,
    watch: &mut dyn FnMut(Progress),
) -> Result<Running, DaemonError> {
    let job = &claim.job;
    let label = JobLabel {
        id: job.id,
        job_type: job.job_type,
        resource: job.resource.clone(),
        node: job.node_id.clone(),
    };
    watch(Progress::JobStarted {
        job: label.clone(),
        attempt: claim.attempt,
    });
    let running = Running {
        label: label.clone(),
        plan: job.plan_id,
        token: claim.token,
        cancel: Cancel::default(),
        since: Instant::now(),
    };
    let (runner, sender, cancel) = (Arc::clone(runner), sender.clone(), running.cancel.clone());
    thread::Builder::new()
        .name(format!("job {}", label.resource))
        .spawn(move || {
            let id = claim.job.id;
            // The dispatcher outlives its threads; a message that nobody reads is of no use.
            let mut tell = |progress| drop(sender.send(Message::Progress(progress)));
            let run =
                AssertUnwindSafe(|| attempt::run(&runner, &claim, &label, &mut tell, &cancel));
            // Without its last message the dispatcher would wait for this thread for ever.
            let result = catch_unwind(run).unwrap_or(Err(DaemonError::Panicked));
            drop(sender.send(Message::Done(id, result)));
        })
        .map_err(DaemonError::Thread)?;
    Ok(running)
}

fn finished(job: Running, attempted: Attempted) -> Progress {
    let failure = attempted.failure;
    Progress::JobFinished {
        job: job.label,
        end: JobEnd {
            status: attempted.status,
            error_code: failure.as_ref().map(|failure| failure.code),
            error_message: failure.as_ref().map(|failure| failure.message.clone()),
            hint: failure.as_ref().map(|failure| failure.hint),
            milliseconds: u64::try_from(job.since.elapsed().as_millis()).unwrap_or(u64::MAX),
        },
    }
}
