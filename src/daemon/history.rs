//! Clearing up the past: in small steps with rests between them, by whichever process gets to it.
//!
//! The store says what may go and takes it away; here is the order, the pace, and when to stop.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

use super::error::DaemonError;
use crate::ansible;
use crate::clock;
use crate::core::history::{GRACE, HistoryKind, HistoryPolicy};
use crate::store::{Excess, Removed, Scan, Store};

/// How often a daemon looks whether there is something to clear up.
const EVERY: Duration = Duration::from_secs(60);
/// How often all ended jobs are compared with the limits: what is only a day old is one small part
/// of what is kept.
const SWEEP: SignedDuration = SignedDuration::from_hours(6);
/// Jobs of one transaction, and rows of other tables.
const JOBS: usize = 32;
const ROWS: usize = 256;
/// Payloads that are read at once.
const PAYLOADS: usize = 2_000;
/// The longest rest after a step.
const LONGEST_REST: Duration = Duration::from_millis(500);

/// What is cleared up, and how much stays.
#[derive(Clone, Debug)]
pub struct HistorySettings {
    pub policy: HistoryPolicy,
    pub log_dir: PathBuf,
    /// Where the files of attempts are.
    pub state_dir: PathBuf,
}

/// How fast it goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pace {
    /// Rests for several times as long as it works: others are at work.
    Gentle,
    /// Rests as long as it works: somebody waits for it.
    Brisk,
}

/// What was cleared up.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Cleared {
    /// Looks that had found nothing new.
    pub folded: Removed,
    /// What was beyond the limits.
    pub removed: Removed,
    /// Parts of payloads and ciphertexts that nothing named any more.
    pub parts: u64,
    /// Rows of other tables, by what they are.
    pub rows: BTreeMap<&'static str, u64>,
    /// Segments of the audit chain that were closed, and entries that left the database.
    pub segments: u64,
    pub entries: u64,
    pub logs: u64,
    /// Whether all of it was looked at; else the rest follows.
    pub is_complete: bool,
}

impl Cleared {
    /// Whether anything was taken away.
    #[must_use]
    pub fn has_removed(&self) -> bool {
        let nothing = Self {
            is_complete: self.is_complete,
            ..Self::default()
        };
        *self != nothing
    }
}

/// Clears up until all is within the limits, or `goes_on` says no; none while the database is
/// paused, and while another process does it. `all` looks at everything now, whenever that was done
/// last.
///
/// # Errors
/// When the database or the disk fails. What was done until then is done.
pub fn clear_up(
    store: &mut Store,
    settings: &HistorySettings,
    (pace, all): (Pace, bool),
    actor: &str,
    goes_on: &dyn Fn() -> bool,
    now: Timestamp,
) -> Result<Option<Cleared>, DaemonError> {
    if store.pause()?.is_some() {
        return Ok(None);
    }
    let Some(_lock) = store.clear_up()? else {
        return Ok(None);
    };
    let mut clearing = Clearing {
        store,
        settings,
        pace,
        actor,
        goes_on,
        now,
        cleared: Cleared::default(),
    };
    clearing.cleared.is_complete = clearing.run(all)?;
    Ok(Some(clearing.cleared))
}

/// Clears up from time to time until `end` is set.
pub fn keep_clearing_up(
    store: &mut Store,
    settings: &HistorySettings,
    actor: &str,
    end: &AtomicBool,
) {
    let goes_on = || !end.load(Ordering::SeqCst);
    let mut looked: Option<Instant> = None;
    while goes_on() {
        if looked.is_none_or(|at| at.elapsed() >= EVERY) {
            looked = Some(Instant::now());
            let pace = (Pace::Gentle, false);
            match clear_up(store, settings, pace, actor, &goes_on, clock::now()) {
                Ok(Some(cleared)) => tracing::debug!(?cleared, "cleared up"),
                Ok(None) => {}
                // The next turn goes on from where this one broke off.
                Err(error) => tracing::warn!(%error, "cannot clear up the past"),
            }
        }
        thread::sleep(LONGEST_REST / 2);
    }
}

/// What is taken away of ended jobs.
#[derive(Clone, Copy, Debug)]
enum Walk {
    Jobs,
    Tasks,
}

struct Clearing<'a> {
    store: &'a mut Store,
    settings: &'a HistorySettings,
    pace: Pace,
    actor: &'a str,
    goes_on: &'a dyn Fn() -> bool,
    now: Timestamp,
    cleared: Cleared,
}

impl Clearing<'_> {
    /// All of it; whether it came to the end.
    fn run(&mut self, all: bool) -> Result<bool, DaemonError> {
        // A figure is no reason to stop.
        if let Err(error) = self.store.note_size(self.now) {
            tracing::warn!(%error, "cannot note the size of the past");
        }
        if !self.looks()? {
            return Ok(false);
        }
        // A chain that does not hold, or a segment that cannot be written, must not keep the rest:
        // it would grow until somebody mends that.
        let sealed = self.audit();
        if matches!(sealed, Ok(false)) {
            return Ok(false);
        }
        let is_done = self.sweep(all)?;
        Ok(sealed? && is_done)
    }

    /// What needs a look at everything, when that is due.
    fn sweep(&mut self, all: bool) -> Result<bool, DaemonError> {
        if !all && !self.store.sweep_is_due(SWEEP, self.now)? {
            return Ok(true);
        }
        let is_done = self.jobs()? && self.rest()? && self.parts()?;
        if is_done {
            self.files();
            self.store.note_swept(self.now)?;
        }
        Ok(is_done)
    }

    /// Looks that were folded into counts.
    fn looks(&mut self) -> Result<bool, DaemonError> {
        let before = self.now.saturating_sub(GRACE).unwrap_or(Timestamp::MIN);
        while (self.goes_on)() {
            let began = Instant::now();
            let found = self.store.removable_looks(before, JOBS)?;
            if found.is_empty() {
                return Ok(true);
            }
            let removed = self.store.remove_jobs(&found)?;
            self.cleared.folded += removed;
            if removed == Removed::default() {
                return Ok(true);
            }
            self.rest_after(began);
        }
        Ok(false)
    }

    /// Entries of the audit chain.
    fn audit(&mut self) -> Result<bool, DaemonError> {
        while (self.goes_on)() {
            let began = Instant::now();
            let forgotten = self.store.forget_closed(ROWS as u64)?;
            self.cleared.entries += forgotten;
            if forgotten == 0 {
                let policy = &self.settings.policy;
                if self
                    .store
                    .close_segment(policy, self.actor, self.now)?
                    .is_none()
                {
                    return Ok(true);
                }
                self.cleared.segments += 1;
            }
            self.rest_after(began);
        }
        Ok(false)
    }

    /// Ended jobs, and the tasks of those that stay.
    fn jobs(&mut self) -> Result<bool, DaemonError> {
        let excess = self.store.excess(&self.settings.policy, self.now)?;
        Ok(self.walk(&excess, Walk::Jobs)? && self.walk(&excess, Walk::Tasks)?)
    }

    /// Goes over jobs in their order, and takes them or their tasks away.
    fn walk(&mut self, excess: &Excess, walk: Walk) -> Result<bool, DaemonError> {
        let mut after = 0;
        while (self.goes_on)() {
            let began = Instant::now();
            let found = match walk {
                Walk::Jobs => self.store.removable_jobs(excess, after, JOBS)?,
                Walk::Tasks => self.store.removable_tasks(excess, after, JOBS)?,
            };
            let Some(last) = found.last() else {
                return Ok(true);
            };
            let removed = match walk {
                Walk::Jobs => self.store.remove_jobs(&found)?,
                Walk::Tasks => self.store.remove_tasks(&found)?,
            };
            self.cleared.removed += removed;
            // One with very many tasks is found again.
            if !removed.is_partial {
                after = last.sequence;
            }
            self.rest_after(began);
        }
        Ok(false)
    }

    /// Plans without jobs, revisions, messages, sessions.
    fn rest(&mut self) -> Result<bool, DaemonError> {
        let before = self.settings.policy.cutoff(HistoryKind::Jobs, self.now);
        while (self.goes_on)() {
            let began = Instant::now();
            let plans = self.store.remove_plans(before, ROWS)?;
            self.cleared.removed.plans += plans;
            if plans == 0 {
                let policy = &self.settings.policy;
                match self.store.remove_rest(policy, ROWS, self.now)? {
                    Some((name, rows)) => *self.cleared.rows.entry(name).or_default() += rows,
                    None => return Ok(true),
                }
            }
            self.rest_after(began);
        }
        Ok(false)
    }

    /// Parts of payloads, and ciphertexts, once a day. The next round begins last, so that a scan
    /// that is broken off begins again with the next turn and not a day later.
    fn parts(&mut self) -> Result<bool, DaemonError> {
        let Some(round) = self.store.next_round(self.now)? else {
            return Ok(true);
        };
        let mut scan = Scan::default();
        loop {
            let began = Instant::now();
            if !(self.goes_on)() {
                return Ok(false);
            }
            if !self.store.scan(&mut scan, PAYLOADS)? {
                break;
            }
            self.rest_after(began);
        }
        let [parts, blobs] = self.store.unnamed(&scan.named(), round)?;
        for (parts, blobs) in parts
            .chunks(ROWS)
            .map(|parts| (parts, &[][..]))
            .chain(blobs.chunks(ROWS).map(|blobs| (&[][..], blobs)))
        {
            if !(self.goes_on)() {
                return Ok(false);
            }
            let began = Instant::now();
            self.cleared.parts += self.store.remove_unnamed(parts, blobs, round)?;
            self.rest_after(began);
        }
        self.store.begin_round(self.now)?;
        Ok(true)
    }

    /// Logs and what dead attempts left. That a file cannot be removed is no reason to stop.
    fn files(&mut self) {
        let policy = &self.settings.policy;
        let keep = policy.of(HistoryKind::Logs);
        let before = policy.cutoff(HistoryKind::Logs, self.now);
        let grace = self.now.saturating_sub(GRACE).unwrap_or(Timestamp::MIN);
        match ansible::remove_logs(&self.settings.log_dir, before, grace, keep.count) {
            Ok(removed) => self.cleared.logs += removed,
            Err(error) => tracing::warn!(%error, "cannot clear up the logs"),
        }
        if let Err(error) = ansible::sweep_attempts(&self.settings.state_dir) {
            tracing::warn!(%error, "cannot clear up what attempts left");
        }
    }

    /// Leaves the database to others for a while.
    fn rest_after(&self, began: Instant) {
        let times = match self.pace {
            Pace::Gentle => 4,
            Pace::Brisk => 1,
        };
        thread::sleep((began.elapsed() * times).min(LONGEST_REST));
    }
}
