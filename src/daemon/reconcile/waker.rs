//! Waking the reconcile loop: whoever learns that something may have moved says so, and whatever
//! comes meanwhile becomes one pass.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::core::reconcile::Cause;

/// Wakes one loop, from any thread. All clones wake the same one.
#[derive(Clone, Debug, Default)]
pub struct Waker(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    /// The first cause since the last pass.
    cause: Option<Cause>,
    /// When the last of them came.
    last: Option<Instant>,
    closed: bool,
}

/// Why a wait ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Woken {
    By(Cause),
    /// Nobody came.
    Timeout,
    /// It is over.
    Closed,
}

impl Waker {
    /// Asks for a pass. Causes that come before it are one.
    pub fn wake(&self, cause: Cause) {
        let mut state = self.lock();
        // The end of a job is no reason to look at the fleet repo, and hides none.
        if state.cause.is_none_or(|known| known == Cause::Jobs) {
            state.cause = Some(cause);
        }
        state.last = Some(Instant::now());
        self.0.changed.notify_all();
    }

    /// Ends the loop at its next wait.
    pub fn close(&self) {
        self.lock().closed = true;
        self.0.changed.notify_all();
    }

    /// Waits at most until `end` for a cause.
    pub(super) fn wait(&self, end: Instant) -> Woken {
        let mut state = self.lock();
        loop {
            if state.closed {
                return Woken::Closed;
            }
            if let Some(cause) = state.cause.take() {
                return Woken::By(cause);
            }
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Woken::Timeout;
            }
            state = self
                .0
                .changed
                .wait_timeout(state, left)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
    }

    /// Waits until nothing more has come for `quiet`, but no longer than `most`. What comes
    /// meanwhile belongs to the pass that follows, and is its cause, if anything has.
    pub(super) fn settle(&self, quiet: Duration, most: Duration) -> Woken {
        let end = Instant::now() + most;
        let mut state = self.lock();
        state.last = Some(Instant::now());
        loop {
            if state.closed {
                return Woken::Closed;
            }
            let last = state.last.unwrap_or(end);
            let left = (last + quiet)
                .min(end)
                .saturating_duration_since(Instant::now());
            if left.is_zero() {
                return state.cause.take().map_or(Woken::Timeout, Woken::By);
            }
            state = self
                .0
                .changed
                .wait_timeout(state, left)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // What it guards is whole after every step.
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn soon() -> Instant {
        Instant::now() + Duration::from_secs(20)
    }

    #[test]
    fn many_causes_are_one_pass_named_by_the_first() {
        let waker = Waker::default();
        for cause in [Cause::Webhook, Cause::Signal, Cause::Webhook] {
            waker.clone().wake(cause);
        }
        assert_eq!(waker.wait(soon()), Woken::By(Cause::Webhook));
        assert_eq!(waker.wait(Instant::now()), Woken::Timeout);
        let other = waker.clone();
        let thread = std::thread::spawn(move || other.wait(soon()));
        waker.wake(Cause::Command);
        assert_eq!(thread.join().expect("no panic"), Woken::By(Cause::Command));
        waker.close();
        assert_eq!(waker.wait(soon()), Woken::Closed);
    }

    #[test]
    fn a_burst_is_waited_out_but_not_for_ever() {
        let waker = Waker::default();
        let other = waker.clone();
        let began = Instant::now();
        // It never becomes quiet.
        let thread = std::thread::spawn(move || {
            while began.elapsed() < Duration::from_secs(10) && Arc::strong_count(&other.0) > 1 {
                other.wake(Cause::Hook);
                std::thread::yield_now();
            }
        });
        let burst = waker.settle(Duration::from_secs(5), Duration::from_millis(50));
        assert_eq!(burst, Woken::By(Cause::Hook));
        assert!(began.elapsed() < Duration::from_secs(5));
        drop(waker);
        thread.join().expect("no panic");
        let waker = Waker::default();
        let (quiet, most) = (Duration::from_millis(1), Duration::from_secs(20));
        assert_eq!(waker.settle(quiet, most), Woken::Timeout);
        waker.close();
        assert_eq!(waker.settle(quiet, most), Woken::Closed);
    }

    #[test]
    fn the_end_of_a_job_hides_no_push() {
        let waker = Waker::default();
        for cause in [Cause::Jobs, Cause::Hook, Cause::Jobs] {
            waker.wake(cause);
        }
        let settled = waker.settle(Duration::from_millis(1), Duration::from_secs(20));
        assert_eq!(settled, Woken::By(Cause::Hook));
    }
}
