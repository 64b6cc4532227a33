//! Stopping: a whole worker in steps, and one attempt for a reason.

use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, OnceLock};

use crate::ansible::Cancel;

/// How urgently a worker is to end, the least urgent first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Urgency {
    /// Not at all.
    None,
    /// Nothing new starts, and what runs may finish.
    Drain,
    /// What runs is stopped and goes back into the queue.
    Requeue,
    /// What runs is stopped and cancelled.
    Cancel,
}

/// Asks a worker to stop, from a signal handler or another thread. It can only become more urgent.
#[derive(Clone, Debug, Default)]
pub struct Stop(Arc<AtomicU8>);

impl Stop {
    /// Asks for an end that is at least this urgent.
    pub fn ask(&self, urgency: Urgency) {
        self.0.fetch_max(urgency as u8, Ordering::SeqCst);
    }

    /// What was asked for.
    #[must_use]
    pub fn urgency(&self) -> Urgency {
        match self.0.load(Ordering::SeqCst) {
            0 => Urgency::None,
            1 => Urgency::Drain,
            2 => Urgency::Requeue,
            _ => Urgency::Cancel,
        }
    }
}

/// Why an attempt is stopped before its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Reason {
    /// Nobody wants it any more.
    Cancelled(String),
    /// It is to run again later, and this attempt does not count.
    Requeued(String),
    /// Somebody else may have the job by now.
    LostLease,
}

/// Stops one attempt from another thread.
#[derive(Clone, Debug, Default)]
pub(super) struct Reins {
    pub(super) cancel: Cancel,
    reason: Arc<OnceLock<Reason>>,
}

impl Reins {
    /// Stops the attempt; the first reason counts.
    pub(super) fn stop(&self, reason: Reason) {
        self.reason.get_or_init(|| reason);
        self.cancel.cancel();
    }

    /// Why it was stopped, if it was.
    pub(in crate::daemon) fn reason(&self) -> Option<&Reason> {
        self.reason.get()
    }
}
