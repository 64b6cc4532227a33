//! The worker: claims jobs, runs each in a thread of its own, keeps their leases, looks after
//! what others left behind.
//!
//! One loop dispatches; the threads send it messages and share nothing with it.

mod away;
mod follow;

use std::collections::{BTreeMap, BTreeSet};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::thread;
use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};

use super::super::error::DaemonError;
use super::attempt::{self, Attempted, Runner};
use super::disk::{Disk, LONGEST_BUSY};
use super::parallel::Parallel;
use super::probe;
use super::progress::{JobEnd, JobLabel, Progress};
use super::recovery::recover;
use super::stop::{Reason, Reins, Stop, Urgency};
use super::summary::{Ends, Summary};
use super::wanted_jobs::Jobs;
use super::worker_id::WorkerId;
use crate::clock;
use crate::core::job::JobStatus;
use crate::core::recorded::{JobId, PlanId};
use crate::store::{Claim, Job, JobFilter, OpenJobs, Scope, Store, StoreError, UnreachableNode};

/// How often the lease of a running job is renewed.
const HEARTBEAT: Duration = Duration::from_secs(10);
/// How often it is asked whether anything was written, which costs nearly nothing.
const TICK: Duration = Duration::from_millis(250);
/// How often the queue is looked at although nothing was written: moments come by themselves.
const LOOK: Duration = Duration::from_secs(2);
/// How long a run waits by default for the next attempt at a job when nothing else is left.
const RETRY_PATIENCE: Duration = Duration::from_secs(120);

/// How much at once, and for how long.
#[derive(Clone, Debug)]
pub struct Limits {
    pub parallel: Parallel,
    /// How long to wait, when nothing else is left to do, for a next attempt or for a node that
    /// does not answer. None: two minutes for an attempt, and not at all for a node.
    pub wait: Option<Duration>,
    /// How long running jobs may take to finish once nothing starts any more.
    pub drain: Duration,
}

/// The plans with jobs in the queue that no living worker works on.
///
/// # Errors
/// When the database fails.
pub fn left_behind(store: &Store) -> Result<Vec<PlanId>, DaemonError> {
    let held: BTreeSet<PlanId> = store
        .leased_jobs()?
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

/// Runs `jobs` until it is asked to stop or, for plans, until none is left that could run.
///
/// While `may_claim` says no, another process runs the jobs, and this one waits and tells.
///
/// # Errors
/// When the database fails; what runs then is stopped first, and goes back into the queue.
pub fn run(
    runner: &Arc<Runner>,
    store: &mut Store,
    jobs: &Jobs,
    limits: &Limits,
    may_claim: &dyn Fn() -> bool,
    stop: &Stop,
    watch: &mut dyn FnMut(Progress),
) -> Result<Summary, DaemonError> {
    let (sender, messages) = mpsc::channel();
    let plans = match jobs {
        Jobs::All => Vec::new(),
        Jobs::Plans(plans) => {
            let joined = plans.joined.iter().map(|(_, plan)| plan);
            let all = plans.own.iter().chain(joined).chain(&plans.adopted);
            all.copied().collect::<BTreeSet<_>>().into_iter().collect()
        }
    };
    let seq = store.last_step()?;
    let disk = Disk::new(store, runner.engine.run_dir());
    let mut dispatcher = Dispatcher {
        worker: WorkerId::this().map_err(DaemonError::Process)?.to_string(),
        runner,
        store,
        jobs,
        plans,
        limits,
        may_claim,
        stop,
        watch,
        sender,
        running: BTreeMap::new(),
        elsewhere: BTreeSet::new(),
        ended_here: BTreeSet::new(),
        ends: Ends::default(),
        probing: BTreeSet::new(),
        unasked: None,
        seq,
        version: 0,
        is_claiming: false,
        looked: None,
        beat: (Instant::now(), clock::now()),
        busy: None,
        idle: None,
        drain: None,
        disk,
        failure: None,
    };
    for held in dispatcher.store.leased_jobs()? {
        dispatcher.began_elsewhere(held.job.id)?;
    }
    dispatcher.run(&messages)?;
    let interrupted = stop.urgency() > Urgency::None;
    Ok(dispatcher
        .ends
        .summary(jobs, dispatcher.store, interrupted)?)
}

enum Message {
    Progress(Progress),
    Done(JobId, Result<Attempted, DaemonError>),
    Probed(UnreachableNode, bool),
}

struct Running {
    label: JobLabel,
    token: u64,
    reins: Reins,
    since: Instant,
}

struct Dispatcher<'a> {
    worker: String,
    runner: &'a Arc<Runner>,
    store: &'a mut Store,
    jobs: &'a Jobs,
    plans: Vec<PlanId>,
    limits: &'a Limits,
    may_claim: &'a dyn Fn() -> bool,
    stop: &'a Stop,
    watch: &'a mut dyn FnMut(Progress),
    sender: Sender<Message>,
    running: BTreeMap<JobId, Running>,
    /// Jobs that others run and this run waits for.
    elsewhere: BTreeSet<JobId>,
    ended_here: BTreeSet<JobId>,
    ends: Ends,
    probing: BTreeSet<String>,
    /// The nodes that did not answer when this run began, and were not asked since: they are due.
    unasked: Option<BTreeSet<String>>,
    /// The last step of the record that was looked at.
    seq: u64,
    version: i64,
    is_claiming: bool,
    looked: Option<Instant>,
    /// When the leases were renewed, by both clocks: others judge them by the one that can jump.
    beat: (Instant, Timestamp),
    /// Since when another process keeps the database locked.
    busy: Option<Instant>,
    /// Since when nothing is left to do but to wait.
    idle: Option<Instant>,
    /// When draining is over.
    drain: Option<Instant>,
    disk: Disk,
    failure: Option<DaemonError>,
}

impl Dispatcher<'_> {
    fn run(&mut self, messages: &Receiver<Message>) -> Result<(), DaemonError> {
        loop {
            let stopping = self.obey();
            match self.turn(stopping) {
                Ok(true) => break,
                Ok(false) => self.busy = None,
                // The next turn does it again.
                Err(error) if self.is_passing(&error) => tracing::warn!(%error, "trying again"),
                Err(error) => self.fail(error),
            }
            // What nobody waits for any more cannot fail again.
            if self.failure.is_some() && self.running.is_empty() {
                break;
            }
            match messages.recv_timeout(TICK) {
                Ok(message) => {
                    let is_probe = matches!(message, Message::Probed(..));
                    match self.take(message) {
                        Ok(()) => {}
                        // It is asked again.
                        Err(error) if is_probe && self.is_passing(&error) => {
                            tracing::warn!(%error, "trying again");
                        }
                        Err(error) => self.fail(error),
                    }
                }
                Err(RecvTimeoutError::Timeout) => {}
                // Never happens while this holds a sender.
                Err(RecvTimeoutError::Disconnected) => break,
            }
        }
        self.failure.take().map_or(Ok(()), Err)
    }

    /// Whether it is another process that keeps the database locked, and not for too long yet.
    fn is_passing(&mut self, error: &DaemonError) -> bool {
        let is_busy = matches!(error, DaemonError::Store(error) if error.is_busy());
        is_busy && self.busy.get_or_insert_with(Instant::now).elapsed() < LONGEST_BUSY
    }

    /// What runs is stopped, and the first error is the one that counts. The disk may pass.
    fn fail(&mut self, error: DaemonError) {
        let Some(error) = self.disk.meet(error, self.watch) else {
            return;
        };
        if self.failure.is_none() {
            tracing::error!(%error, "stopping");
            self.failure = Some(error);
        }
    }

    /// Does what was asked for; whether nothing may start any more.
    fn obey(&mut self) -> bool {
        let reason = match self.stop.urgency() {
            Urgency::None => None,
            Urgency::Drain => {
                let running = self.running.len();
                let end = *self.drain.get_or_insert_with(|| {
                    (self.watch)(Progress::Draining { running });
                    Instant::now() + self.limits.drain
                });
                let why = "its worker was to end and the job took longer than it may then";
                (Instant::now() >= end).then(|| Reason::Requeued(why.to_owned()))
            }
            Urgency::Requeue => Some(Reason::Requeued("its worker was stopped".to_owned())),
            Urgency::Cancel => Some(Reason::Cancelled("stopped on request".to_owned())),
        };
        let joined = match self.jobs {
            Jobs::All => &[][..],
            Jobs::Plans(plans) => &plans.joined,
        };
        let broken = self
            .failure
            .is_some()
            .then(|| Reason::Requeued("its worker could not go on".to_owned()));
        if let Some(reason) = reason.or(broken) {
            for (id, job) in &self.running {
                let is_others = joined.iter().any(|(joined, _)| joined == id);
                job.reins.stop(match &reason {
                    // Somebody else waits for it still.
                    Reason::Cancelled(why) if is_others => Reason::Requeued(why.clone()),
                    reason => reason.clone(),
                });
            }
        }
        self.failure.is_some() || self.stop.urgency() > Urgency::None
    }

    /// One turn of the loop; whether it was the last.
    fn turn(&mut self, stopping: bool) -> Result<bool, DaemonError> {
        // Before anything that can fail: a database that cannot be read keeps nobody here.
        if stopping && self.running.is_empty() {
            return Ok(true);
        }
        self.disk.look(self.store, self.watch);
        if self.running.is_empty() {
            self.disk.lose_patience()?;
        }
        let (beat, beat_at) = self.beat;
        let by_clock = Duration::try_from(clock::now().duration_since(beat_at));
        let is_late = by_clock.is_ok_and(|passed| passed >= HEARTBEAT);
        if (is_late || beat.elapsed() >= HEARTBEAT) && self.failure.is_none() {
            self.beat = (Instant::now(), clock::now());
            self.keep_leases()?;
        }
        let version = self.store.version()?;
        let is_due = self.looked.is_none_or(|at| at.elapsed() >= LOOK);
        let is_new = std::mem::replace(&mut self.version, version) != version;
        if self.failure.is_none() && (is_due || is_new) {
            self.look(is_due)?;
        }
        if stopping {
            return Ok(self.running.is_empty());
        }
        // Counting what is left of a large plan takes a moment, so not at each change.
        if is_due || (is_new && self.elsewhere.is_empty()) {
            return self.is_done();
        }
        Ok(false)
    }

    /// Looks at everything that others may have changed.
    fn look(&mut self, is_due: bool) -> Result<(), DaemonError> {
        if is_due {
            self.looked = Some(Instant::now());
            self.is_claiming = (self.may_claim)();
            let (actor, timeouts) = (&self.runner.actor, &self.runner.timeouts);
            recover(self.store, actor, timeouts, clock::now())?;
        }
        for (id, why) in self.store.cancel_requests(&self.worker)? {
            if let Some(job) = self.running.get(&id) {
                job.reins.stop(Reason::Cancelled(why));
            }
        }
        if self.is_claiming {
            self.probe()?;
        }
        self.follow_others()?;
        self.claim()
    }

    fn claim(&mut self) -> Result<(), DaemonError> {
        let may = self.is_claiming && self.stop.urgency() == Urgency::None;
        let now: fn() -> Timestamp = clock::now;
        while may && self.failure.is_none() && self.running.len() < self.limits.parallel.get() {
            if !self.disk.lets_start(self.watch) {
                break;
            }
            let scope = match self.jobs {
                Jobs::All => Scope::All,
                Jobs::Plans(_) => Scope::Plans(&self.plans),
            };
            let Some(claim) = self.store.claim(&self.worker, scope, now)? else {
                break;
            };
            self.idle = None;
            self.spawn(claim)?;
        }
        Ok(())
    }

    fn spawn(&mut self, claim: Claim) -> Result<(), DaemonError> {
        let label = label(&claim.job);
        (self.watch)(Progress::JobStarted {
            job: label.clone(),
            attempt: claim.attempt,
            elsewhere: false,
        });
        let id = claim.job.id;
        let reins = Reins::default();
        self.ended_here.remove(&id);
        self.running.insert(
            id,
            Running {
                label: label.clone(),
                token: claim.token,
                reins: reins.clone(),
                since: Instant::now(),
            },
        );
        let (runner, sender) = (Arc::clone(self.runner), self.sender.clone());
        let started = thread::Builder::new()
            .name(format!("job {}", label.resource))
            .spawn(move || {
                // The dispatcher outlives its threads; a message that nobody reads is of no use.
                let mut tell = |progress| drop(sender.send(Message::Progress(progress)));
                let run =
                    AssertUnwindSafe(|| attempt::run(&runner, &claim, &label, &mut tell, &reins));
                // Without its last message the dispatcher would wait for this thread for ever.
                let result =
                    catch_unwind(run).unwrap_or_else(|_| attempt::give_up(&runner, &claim));
                // The engine is closed by the thread that waits for this message, or by nobody.
                drop(runner);
                drop(sender.send(Message::Done(id, result)));
            });
        if let Err(error) = started {
            self.running.remove(&id);
            return Err(DaemonError::Thread(error));
        }
        Ok(())
    }

    fn take(&mut self, message: Message) -> Result<(), DaemonError> {
        match message {
            Message::Progress(progress) => (self.watch)(progress),
            Message::Done(id, result) => {
                let Some(job) = self.running.remove(&id) else {
                    return Ok(());
                };
                // What it kept busy is free now.
                self.looked = None;
                self.ended_here.insert(id);
                match result {
                    Ok(attempted) => {
                        if attempted.was_excused {
                            self.disk.stopped_a_job(self.watch);
                        }
                        let code = attempted.failure.as_ref().map(|failure| failure.code);
                        self.ends
                            .note(id, job.label.job_type, attempted.status, code);
                        (self.watch)(finished(job, attempted));
                    }
                    // Somebody else has the job by now; the others are still ours.
                    Err(DaemonError::Store(error @ StoreError::Stale { .. })) => {
                        tracing::warn!(job = %id, %error, "the job was taken over");
                    }
                    Err(error) => return Err(error),
                }
            }
            Message::Probed(node, answers) => return self.probed(&node, answers),
        }
        Ok(())
    }

    fn keep_leases(&mut self) -> Result<(), DaemonError> {
        for (id, job) in &self.running {
            match self.store.heartbeat(*id, job.token, clock::now()) {
                Ok(_) => {}
                // Someone else may have the job by now: what runs here must not go on.
                Err(StoreError::Stale { .. }) => job.reins.stop(Reason::LostLease),
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    /// Whether nothing is left that could run before this run loses its patience.
    fn is_done(&mut self) -> Result<bool, DaemonError> {
        if matches!(self.jobs, Jobs::All) || !self.running.is_empty() {
            return Ok(false);
        }
        let now = clock::now();
        let mut open = OpenJobs::default();
        for plan in &self.plans {
            open = open.and(self.store.open_jobs(*plan, now)?);
        }
        if open.count() == 0 {
            return Ok(true);
        }
        if open.held + open.due > 0 {
            self.idle = None;
            return Ok(false);
        }
        let idle = self.idle.get_or_insert_with(Instant::now).elapsed();
        let left = |patience: Duration| patience.saturating_sub(idle);
        let retry = left(self.limits.wait.unwrap_or(RETRY_PATIENCE));
        let comes = open.next.is_some_and(|next| {
            let in_time = SignedDuration::try_from(retry).unwrap_or(SignedDuration::MAX);
            next.duration_since(now) <= in_time
        });
        // An answer that is on its way is waited for, but does not make anybody wait for the next.
        let answer = if self.probing.is_empty() {
            Duration::ZERO
        } else {
            probe::PATIENCE * 2
        };
        let node = left(self.limits.wait.unwrap_or(Duration::ZERO).max(answer));
        Ok(!(comes || (open.parked > 0 && !node.is_zero())))
    }
}

fn label(job: &Job) -> JobLabel {
    JobLabel {
        id: job.id,
        job_type: job.job_type,
        resource: job.resource.clone(),
        node: job.node_id.clone(),
    }
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
            wait: attempted.wait,
            milliseconds: u64::try_from(job.since.elapsed().as_millis()).unwrap_or(u64::MAX),
        },
    }
}
