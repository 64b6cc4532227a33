//! One reconcile: fetch, verify, parse, diff, plan, queue, record.
//!
//! A pass is a function. What wakes the loop that calls it only decides when: with every trigger
//! lost, the next interval does the same. The newest revision counts; one with errors or one that
//! is not trusted is recorded once and changes nothing, and the last good one stays in force.

pub(super) mod cycle;
mod holds;
pub(super) mod readiness;
mod source;
mod trust;
pub(super) mod waker;
pub(super) mod watch;

use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::error::DaemonError;
use super::notify;
use super::plan::planning::{self, Purpose};
use super::plan::prepared::{PlannedRevision, Prepared};
use super::queue::drift;
use super::queue::enqueue::{self, Queued, recorded_revision};
use super::sources::SourceSettings;
use super::vet::{has_errors, vet};
use crate::core::diagnostic::{Diagnostic, Severity};
use crate::core::document::scalar::{self, Opening, Scalar, Window};
use crate::core::id::ResourceId;
use crate::core::plan::rails::Closed;
use crate::core::plan::{BlockCode, Blocked, Choice};
use crate::core::reconcile::{Cause, Refusal, Verdict};
use crate::core::secret_owner::Reserved;
use crate::git::{self, DesiredState, GitError, Loaded, PassedCommit, Snapshot};
use crate::secrets::FingerprintKey;
use crate::store::{Joins, Measure, NewSighting, Refused, Revision, Store, StoreError};

pub use source::{Access, FleetSource};
pub use trust::Trust;

/// How often it is planned anew when the record moves between planning and queueing.
const PLANNINGS: u32 = 8;
/// So many of the commits that were passed over are recorded, the last ones.
const MOST_PASSED: usize = 500;
/// So many diagnostics of a revision are recorded.
const MOST_DIAGNOSTICS: usize = 200;

/// Who reconciles, in the audit record and as the maker of plans: nobody asked for them but a commit.
pub(super) const ACTOR: &str = "reconcile";

/// What every pass is made with.
#[derive(Clone, Debug)]
pub struct Setup {
    pub access: Access,
    pub trust: Trust,
    pub secrets_dir: std::path::PathBuf,
    /// What documents may name on this machine and in the network.
    pub sources: SourceSettings,
    /// Whether a git host is told what became of commits.
    pub with_statuses: bool,
    /// The names of secrets that no document may use.
    pub reserved: Reserved,
}

/// What passes of one process know of each other; without it a pass only takes longer.
#[derive(Debug, Default)]
pub struct Memory {
    /// The name of the state that was looked at last.
    newest: Option<String>,
    /// What was planned last, and how the record was after that.
    planned: Option<Planned>,
}

#[derive(Debug)]
struct Planned {
    revision: String,
    audit: u64,
    next: Option<Timestamp>,
    interval: Duration,
    parallel: Option<usize>,
}

/// What a pass came to.
#[derive(Debug)]
pub struct Pass {
    /// Why the fleet repo could not be read, and how often that was so in a row.
    pub fault: Option<(GitError, u32)>,
    /// What was made of the newest revision, if it is another one than the last time.
    pub judged: Option<Judged>,
    /// The revision in force.
    pub in_force: Option<String>,
    pub result: PassResult,
    /// How often the fleet wants to be looked at, when that is known.
    pub interval: Option<Duration>,
    /// How many nodes are worked on at once, when the fleet says so.
    pub parallel: Option<usize>,
    /// When something that failed is planned again.
    pub next: Option<Timestamp>,
}

/// What was made of a revision.
#[derive(Clone, Debug, PartialEq)]
pub struct Judged {
    pub revision: String,
    pub subject: Option<String>,
    pub verdict: Verdict,
    pub refused: Option<Refused>,
    pub diagnostics: Vec<Diagnostic>,
    /// Whether it was recorded just now: the same is told once.
    pub is_news: bool,
    /// How many revisions were passed over for it.
    pub superseded: usize,
}

/// What a pass did about what is in force.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PassResult {
    /// Nothing is in force, or it is not at hand.
    Nothing,
    /// Neither the revision nor the record has moved since the last pass.
    Unchanged,
    /// The database is paused: it is looked at first.
    Paused(String),
    Planned {
        queued: Queued,
        blocked: usize,
        /// How many resources are left alone because they failed.
        held: usize,
        removed: usize,
    },
}

/// One pass at `now`.
///
/// # Errors
/// When the database fails or a file of what is in force cannot be read. A fleet repo that cannot
/// be reached is no error but a result: what is in force is looked after all the same.
pub fn reconcile(
    setup: &Setup,
    memory: &mut Memory,
    store: &mut Store,
    cause: Cause,
    now: Timestamp,
) -> Result<Pass, DaemonError> {
    store.follow_repository(&setup.access.source.to_string())?;
    let in_force = store.repository()?.and_then(|known| known.accepted);
    let since = in_force.clone();
    let since = since.filter(|known| !known.starts_with("dirty:"));
    let mut pass = Pass {
        fault: None,
        judged: None,
        in_force,
        result: PassResult::Nothing,
        interval: None,
        parallel: None,
        next: None,
    };
    // When jobs have ended only the record has moved.
    let looks = cause != Cause::Jobs || memory.newest.is_none();
    let newest = match looks {
        true => setup
            .access
            .newest(memory.newest.as_deref(), since.as_deref()),
        false => Ok(None),
    };
    let desired = match newest {
        Ok(Some((snapshot, name))) => {
            store.note_reach(None, now)?;
            memory.newest = Some(name);
            take(setup, store, snapshot, &mut pass, cause, now)?
        }
        Ok(None) => {
            if looks {
                store.note_reach(None, now)?;
            }
            None
        }
        Err(error) => {
            let failures = store.note_reach(Some(&crate::core::causes::chain(&error)), now)?;
            pass.fault = Some((error, failures));
            None
        }
    };
    if let Some(pause) = store.pause()? {
        pass.result = PassResult::Paused(pause.reason);
        return Ok(pass);
    }
    if let Some(planned) = &memory.planned {
        pass.interval = Some(planned.interval);
        pass.parallel = planned.parallel;
        pass.next = planned.next;
        let is_due = planned.next.is_some_and(|next| next <= now);
        let is_same = Some(&planned.revision) == pass.in_force.as_ref();
        if is_same && !is_due && store.audit_head()?.seq == planned.audit {
            pass.result = PassResult::Unchanged;
            return Ok(pass);
        }
    }
    let desired = match (desired, &pass.in_force) {
        (Some(desired), _) => desired,
        (None, Some(revision)) => match again(setup, revision)? {
            Some(desired) => desired,
            None => {
                // It is looked at again with the next interval, whatever was due.
                pass.next = None;
                return Ok(pass);
            }
        },
        (None, None) => return Ok(pass),
    };
    work(setup, memory, store, &desired, &mut pass, now)?;
    Ok(pass)
}

/// Judges a revision and records that; what it asks for when it is in force from now on.
fn take(
    setup: &Setup,
    store: &mut Store,
    snapshot: Snapshot,
    pass: &mut Pass,
    cause: Cause,
    now: Timestamp,
) -> Result<Option<Box<DesiredState>>, DaemonError> {
    let planned = PlannedRevision::of(&snapshot);
    let is_in_force = Some(&planned.id) == pass.in_force.as_ref();
    let passed = passed(store, &snapshot)?;
    let refused = match is_in_force {
        true => None,
        false => setup
            .trust
            .refuses(&snapshot, pass.in_force.as_deref(), &setup.access.source)?,
    };
    let (verdict, diagnostics, desired) = match &refused {
        Some(_) => (Verdict::Refused, Vec::new(), None),
        None => match git::load_desired(snapshot, setup.access.cache_dir(), &setup.reserved)? {
            Loaded::Valid(desired, mut diagnostics) => {
                diagnostics.extend(vet(&desired, &setup.sources)?);
                match has_errors(&diagnostics) {
                    true => (Verdict::Invalid, diagnostics, None),
                    false => (Verdict::Accepted, diagnostics, Some(desired)),
                }
            }
            Loaded::Invalid(_, assembled) => (Verdict::Invalid, assembled.diagnostics, None),
        },
    };
    // What keeps it from being in force comes first.
    let is_error = |found: &&Diagnostic| found.severity == Severity::Error;
    let errors = diagnostics.iter().filter(is_error);
    let others = diagnostics.iter().filter(|found| !is_error(found));
    let others = others.filter(|_| verdict == Verdict::Invalid);
    let recorded: Vec<Value> = errors
        .chain(others)
        .take(MOST_DIAGNOSTICS)
        .map(|found| json!(found))
        .collect();
    let superseded = passed.len();
    let mut sightings: Vec<NewSighting> = passed
        .into_iter()
        .map(|change| superseded_by(&change, cause))
        .collect();
    sightings.push(NewSighting {
        revision: recorded_revision(&planned),
        verdict,
        cause,
        refused: refused.clone(),
        diagnostics: recorded.into(),
    });
    let is_news = store.record_sightings(&sightings, ACTOR, now)?;
    if verdict == Verdict::Accepted {
        pass.in_force = Some(planned.id.clone());
    }
    pass.judged = Some(Judged {
        revision: planned.id,
        subject: planned.subject,
        verdict,
        refused,
        diagnostics,
        is_news,
        superseded,
    });
    Ok(desired)
}

/// The revisions between the one that was seen last and this one.
fn passed(store: &Store, snapshot: &Snapshot) -> Result<Vec<PassedCommit>, DaemonError> {
    let last = store.last_sighting()?.map(|last| last.revision.id);
    let (Some(last), Some(newest)) = (last, &snapshot.revision.commit) else {
        return Ok(Vec::new());
    };
    if last.starts_with("dirty:") || last == *newest {
        return Ok(Vec::new());
    }
    match snapshot.history()? {
        Some(history) if history.follows(newest, &last)? => {
            Ok(history.passed(newest, &last, MOST_PASSED)?)
        }
        Some(_) | None => Ok(Vec::new()),
    }
}

fn superseded_by(change: &PassedCommit, cause: Cause) -> NewSighting {
    let revision = &change.revision;
    let author = revision.author.as_ref();
    NewSighting {
        revision: Revision {
            id: change.commit.clone(),
            author: author.map(|author| format!("{} <{}>", author.name, author.email)),
            message: (!revision.subject.is_empty()).then(|| revision.subject.clone()),
            committed_at: revision.time,
            dirty: false,
        },
        verdict: Verdict::Superseded,
        cause,
        refused: None,
        diagnostics: json!([]),
    }
}

/// What the revision in force asks for, or none when it is not at hand any more.
fn again(setup: &Setup, revision: &str) -> Result<Option<Box<DesiredState>>, DaemonError> {
    let snapshot = match setup.access.revision(revision) {
        Ok(Some(snapshot)) => snapshot,
        Ok(None) => return Ok(None),
        Err(error) => {
            tracing::warn!(%revision, %error, "the revision in force is not at hand");
            return Ok(None);
        }
    };
    Ok(
        match git::load_desired(snapshot, setup.access.cache_dir(), &setup.reserved)? {
            Loaded::Valid(desired, _) => Some(desired),
            // It was valid for another version of this program.
            Loaded::Invalid(..) => None,
        },
    )
}

/// Plans and queues what `desired` asks for.
fn work(
    setup: &Setup,
    memory: &mut Memory,
    store: &mut Store,
    desired: &DesiredState,
    pass: &mut Pass,
    now: Timestamp,
) -> Result<(), DaemonError> {
    // Made before anything is recorded: without it no change of a secret would be noticed.
    let key = FingerprintKey::load_or_make(&setup.secrets_dir)?;
    notify::sync_channels(store, desired, setup.with_statuses, now)?;
    let holds = holds::holds(store, desired, &key, now)?;
    let choice = Choice {
        held: holds.held,
        heal: drift::to_heal(store, desired)?,
        ..Choice::default()
    };
    let opening = opening(desired, now)?;
    let before = store.audit_head()?.seq;
    let (prepared, queued) = plan(store, desired, (&key, &choice, opening), now)?;
    let revision = &prepared.revision.id;
    if let Some(plan) = queued.plan {
        store.note_plan(revision, plan, queued.jobs)?;
    }
    let is_idle = queued.jobs == 0 && queued.joined.is_empty();
    let waits = |blocked: &Blocked| blocked.code == BlockCode::OutsideWindow;
    if is_idle
        && choice.held.is_empty()
        && !prepared.plan.blocked.iter().any(waits)
        && !store.has_open_jobs()?
        && store.note_converged(revision)?
        && let Some(committed) = store
            .revision(revision)?
            .and_then(|known| known.committed_at)
    {
        let took = Duration::try_from(now.duration_since(committed)).unwrap_or_default();
        store.measure(Measure::CommitToConverged, "", took)?;
    }
    let interval = interval(desired)?;
    pass.interval = Some(interval);
    pass.parallel = prepared.max_parallel_nodes;
    pass.next = match opening {
        Opening::Always => holds.next,
        Opening::OpenUntil(edge) | Opening::ClosedUntil(edge) => {
            Some(holds.next.map_or(edge, |next| next.min(edge)))
        }
    };
    memory.planned = Some(Planned {
        revision: revision.clone(),
        // What ends while it is planned is no reason to say that it waits for a window.
        audit: match opening {
            Opening::ClosedUntil(_) => before,
            Opening::Always | Opening::OpenUntil(_) => store.audit_head()?.seq,
        },
        next: pass.next,
        interval,
        parallel: prepared.max_parallel_nodes,
    });
    pass.result = PassResult::Planned {
        queued,
        blocked: prepared.plan.blocked.len(),
        held: choice.held.len(),
        removed: prepared.plan.removed.len(),
    };
    Ok(())
}

fn plan(
    store: &mut Store,
    desired: &DesiredState,
    (key, choice, opening): (&FingerprintKey, &Choice, Opening),
    now: Timestamp,
) -> Result<(Prepared, Queued), DaemonError> {
    let closed = match opening {
        Opening::Always | Opening::OpenUntil(_) => None,
        Opening::ClosedUntil(opens) => Some(Closed(opens)),
    };
    let mut plannings = 1;
    loop {
        let mut prepared = planning::plan(desired, Some(store), Some(key), choice, Purpose::Apply)?;
        let queued = match closed {
            Some(closed) => enqueue::put_off(store, &mut prepared, closed, ACTOR, now),
            None => enqueue::enqueue_beside(store, &prepared, Joins::Groups, ACTOR, now),
        };
        match queued {
            Ok(queued) => return Ok((prepared, queued)),
            Err(DaemonError::Store(StoreError::StalePlan(_))) if plannings < PLANNINGS => {
                plannings += 1;
            }
            Err(error) => return Err(error),
        }
    }
}

/// Whether the fleet wants changes to be applied at `now`.
fn opening(desired: &DesiredState, now: Timestamp) -> Result<Opening, DaemonError> {
    let spec = desired.spec(&ResourceId::Fleet)?;
    let texts = spec
        .as_ref()
        .and_then(|spec| spec.get("reconcile.windows")?.as_array().cloned());
    let windows: Vec<Window> = texts
        .unwrap_or_default()
        .iter()
        .map(|text| Window::parse(text.as_str().unwrap_or_default()))
        // Checked with the document; one that were left out here would open all hours.
        .collect::<Result<_, _>>()
        .map_err(|malformed| DaemonError::Window(malformed.to_string()))?;
    Opening::at(&windows, now).map_err(|error| DaemonError::Window(error.to_string()))
}

/// How often the fleet wants to be looked at.
fn interval(desired: &DesiredState) -> Result<Duration, DaemonError> {
    let spec = desired.spec(&ResourceId::Fleet)?;
    let text = spec
        .as_ref()
        .and_then(|spec| spec.str("reconcile.interval"));
    let interval = text.and_then(|text| text.parse::<scalar::Duration>().ok());
    Ok(Duration::from_secs(interval.map_or(60, scalar::Duration::as_secs)).max(SHORTEST))
}

/// An interval of no time at all would leave no time for anything else.
const SHORTEST: Duration = Duration::from_secs(1);

impl Judged {
    /// Why the revision is not in force, in a line, or none when it is.
    #[must_use]
    pub fn trouble(&self) -> Option<String> {
        match (self.verdict, &self.refused) {
            (Verdict::Refused, Some(refused)) => {
                Some(format!("{}: {}", refused.code, refused.message))
            }
            (Verdict::Invalid, _) => {
                let errors = self
                    .diagnostics
                    .iter()
                    .filter(|found| found.severity == Severity::Error)
                    .count();
                let s = if errors == 1 { "" } else { "s" };
                Some(format!("its documents have {errors} error{s}"))
            }
            (Verdict::Refused, None) => Some(Refusal::MissingHistory.to_string()),
            (Verdict::Accepted | Verdict::Superseded, _) => None,
        }
    }
}
