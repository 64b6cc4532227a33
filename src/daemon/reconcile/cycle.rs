//! The loop around reconciles: when the next one comes, and what is told about them.
//!
//! Whatever wakes it only makes a pass come sooner. A pass that fails, or a fleet repo that cannot
//! be reached, only makes the next one come later.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};

use super::super::error::DaemonError;
use super::super::notify::note_changes;
use super::super::queue::schedule::{run_due, sync_schedules};
use super::super::reconcile::{ACTOR, Memory, Pass, PassResult, Setup, reconcile};
use super::super::run::parallel::Parallel;
use super::readiness::{Hindrance, Readiness};
use super::waker::{Waker, Woken};
use super::watch::{command_note, take_note};
use crate::clock;
use crate::core::causes::chain;
use crate::core::reconcile::{Cause, Verdict};
use crate::core::retry;
use crate::store::{Measure, Store};

/// How often the fleet repo is looked at before it has said itself.
const INTERVAL: Duration = Duration::from_secs(60);
/// How much earlier or later than that by chance, as a share: many control planes of one git host
/// do not ask together.
const JITTER: f64 = 0.1;
/// Pushes this close after the pass for one are a burst, of which the last one counts.
const BURST: Duration = Duration::from_secs(5);
/// A burst is over when nothing has come for so long,
const QUIET: Duration = Duration::from_secs(1);
/// or after this long.
const LONGEST_BURST: Duration = Duration::from_secs(15);
/// An editor writes several files, and each of them several times.
const FILES_QUIET: Duration = Duration::from_millis(300);
const FILES_LONGEST: Duration = Duration::from_secs(3);
/// How often schedules are compared with the record although it has not moved: the clock may have.
const SYNC: Duration = Duration::from_secs(10 * 60);
/// Jobs end one after the other; what that means for the plan is looked at this often at most.
const JOBS_QUIET: Duration = Duration::from_secs(3);

/// What the loop tells whoever watches it.
#[derive(Debug)]
pub enum Reconciled {
    Passed {
        cause: Cause,
        pass: Box<Pass>,
        took: Duration,
    },
    Failed {
        cause: Cause,
        message: String,
    },
}

/// Who else has to do with the loop.
#[derive(Clone, Debug)]
pub struct Shared {
    pub waker: Waker,
    pub readiness: Readiness,
    /// Follows what the fleet says.
    pub parallel: Parallel,
}

/// Reconciles until the waker is closed.
pub fn keep_reconciling(
    setup: &Setup,
    store: &mut Store,
    shared: &Shared,
    tell: &mut dyn FnMut(Reconciled),
) {
    let mut memory = Memory::default();
    let mut cause = Cause::Start;
    let mut failures = 0;
    let mut pushed: Option<Instant> = None;
    let mut synced = None;
    loop {
        let began = Instant::now();
        let note_path = command_note(&setup.access.state_dir);
        let is_asked = note_path.exists();
        let run = AssertUnwindSafe(|| reconcile(setup, &mut memory, store, cause, clock::now()));
        let wait = match catch_unwind(run) {
            Ok(Ok(pass)) => {
                failures = 0;
                let wait = after(&pass);
                note(&shared.readiness, &pass);
                if let Some(parallel) = pass.parallel {
                    shared.parallel.set(parallel);
                }
                let took = began.elapsed();
                measure(store, &pass, took);
                let pass = Box::new(pass);
                tell(Reconciled::Passed { cause, pass, took });
                wait
            }
            failed => {
                failures += 1;
                // What it knew may be half of something.
                memory = Memory::default();
                let message = match failed {
                    Ok(Err(error)) => chain(&error),
                    Ok(Ok(_)) | Err(_) => "the reconcile broke off".to_owned(),
                };
                let (now, why) = (clock::now(), Some(message.clone()));
                shared.readiness.note(Hindrance::ReconcileFailed, why, now);
                tell(Reconciled::Failed { cause, message });
                let base = SignedDuration::from_secs(2);
                unsigned(retry::fetch_wait(base, failures, rand::random()))
            }
        };
        if is_asked && let Err(error) = take_note(&note_path) {
            tracing::warn!(%error, "cannot answer who asked for this");
        }
        if let Err(error) = note_changes(store, clock::now()) {
            tracing::warn!(%error, "cannot tell what has happened");
        }
        if matches!(cause, Cause::Webhook | Cause::Hook) {
            pushed = Some(Instant::now());
        }
        let end = Instant::now() + wait;
        cause = loop {
            let due = run_schedules(store, &mut synced);
            match shared.waker.wait(end.min(Instant::now() + due)) {
                Woken::Closed => return,
                Woken::By(cause) => break cause,
                Woken::Timeout if Instant::now() >= end => break Cause::Interval,
                Woken::Timeout => {}
            }
        };
        let in_burst = pushed.is_some_and(|at| at.elapsed() < BURST);
        let came = match cause {
            Cause::Webhook | Cause::Hook if in_burst => shared.waker.settle(QUIET, LONGEST_BURST),
            Cause::FileChange => shared.waker.settle(FILES_QUIET, FILES_LONGEST),
            Cause::Jobs => shared.waker.settle(JOBS_QUIET, JOBS_QUIET),
            Cause::Webhook
            | Cause::Hook
            | Cause::Start
            | Cause::Interval
            | Cause::Signal
            | Cause::Command => Woken::Timeout,
        };
        match came {
            Woken::Closed => return,
            // A push that came while jobs ended is what the pass is about.
            Woken::By(came) if cause == Cause::Jobs => cause = came,
            Woken::By(_) | Woken::Timeout => {}
        }
    }
}

/// Queues what is due by a schedule; how long until the next may be. `synced` is at which step of
/// the record, and when, the schedules were taken over.
fn run_schedules(store: &mut Store, synced: &mut Option<(u64, Instant)>) -> Duration {
    let mut run = || {
        let (now, step) = (clock::now(), store.last_step()?);
        let is_synced = synced.is_some_and(|(at, when)| at == step && when.elapsed() < SYNC);
        if !is_synced {
            sync_schedules(store, now)?;
            *synced = Some((step, Instant::now()));
        }
        run_due(store, ACTOR, now)?;
        Ok::<_, DaemonError>(store.next_due()?)
    };
    match run() {
        Ok(next) => next.map_or(INTERVAL, |next| until(next, clock::now()).min(INTERVAL)),
        Err(error) => {
            tracing::warn!(%error, "cannot look what is due");
            INTERVAL
        }
    }
}

/// Counts how long a pass took, unless there was nothing to do in it.
fn measure(store: &mut Store, pass: &Pass, took: Duration) {
    let result = match &pass.result {
        PassResult::Unchanged => return,
        PassResult::Nothing => "nothing",
        PassResult::Paused(_) => "paused",
        PassResult::Planned { .. } => "planned",
    };
    if let Err(error) = store.measure(Measure::Reconcile, result, took) {
        tracing::warn!(%error, "cannot count a reconcile");
    }
}

/// How long to wait after a pass when nobody asks for another one.
fn after(pass: &Pass) -> Duration {
    let interval = pass.interval.unwrap_or(INTERVAL);
    let wait = match &pass.fault {
        Some((_, failures)) => unsigned(retry::fetch_wait(
            SignedDuration::try_from(interval).unwrap_or(SignedDuration::MAX),
            *failures,
            rand::random(),
        )),
        None => interval.mul_f64(1.0 - JITTER + 2.0 * JITTER * rand::random::<f64>()),
    };
    match pass.next {
        Some(next) => wait.min(until(next, clock::now())),
        None => wait,
    }
}

fn until(next: Timestamp, now: Timestamp) -> Duration {
    // A moment that has just gone by is no reason to turn without rest.
    unsigned(next.duration_since(now)).max(Duration::from_secs(1))
}

fn unsigned(span: SignedDuration) -> Duration {
    Duration::try_from(span).unwrap_or_default()
}

/// What a pass means for whether the daemon does what it is for.
fn note(readiness: &Readiness, pass: &Pass) {
    let now = clock::now();
    readiness.note(Hindrance::Starting, None, now);
    readiness.note(Hindrance::ReconcileFailed, None, now);
    let fault = pass.fault.as_ref().map(|(error, failures)| {
        let times = if *failures == 1 { "once" } else { "times" };
        let count = if *failures == 1 {
            String::new()
        } else {
            format!("{failures} ")
        };
        format!("{} ({count}{times})", chain(error))
    });
    readiness.note(Hindrance::RepositoryUnreachable, fault, now);
    let paused = match &pass.result {
        PassResult::Paused(reason) => Some(format!("the database is paused: {reason}")),
        PassResult::Nothing | PassResult::Unchanged | PassResult::Planned { .. } => None,
    };
    readiness.note(Hindrance::Paused, paused, now);
    if let Some(judged) = &pass.judged {
        let name = judged.revision.get(..12).unwrap_or(&judged.revision);
        let trouble = |verdict| {
            let trouble = judged.trouble().filter(|_| judged.verdict == verdict);
            trouble.map(|why| format!("`{name}` is not in force: {why}"))
        };
        readiness.note(Hindrance::RevisionRefused, trouble(Verdict::Refused), now);
        readiness.note(Hindrance::RevisionInvalid, trouble(Verdict::Invalid), now);
    }
}

impl Reconciled {
    /// Whether this is worth a line in the log of a daemon.
    #[must_use]
    pub fn is_news(&self) -> bool {
        match self {
            Self::Failed { .. } => true,
            Self::Passed { pass, .. } => {
                let judged = pass.judged.as_ref().is_some_and(|judged| judged.is_news);
                let worked = match &pass.result {
                    PassResult::Planned { queued, .. } => queued.jobs + queued.recorded > 0,
                    PassResult::Nothing | PassResult::Unchanged | PassResult::Paused(_) => false,
                };
                let fault = pass.fault.as_ref();
                judged || worked || fault.is_some_and(|(_, failures)| *failures == 1)
            }
        }
    }
}

/// One pass outside of any loop.
///
/// # Errors
/// Those of [`reconcile`].
pub fn reconcile_once(
    setup: &Setup,
    store: &mut Store,
    cause: Cause,
    now: Timestamp,
) -> Result<Pass, DaemonError> {
    reconcile(setup, &mut Memory::default(), store, cause, now)
}
