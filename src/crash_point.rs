//! Labelled places where a test can end this process as `kill -9` would.
//!
//! They are compiled in by the feature `crash-points`, which no release has. Without it
//! [`reach`] is empty and nothing of it is left in the program.

#[cfg(feature = "crash-points")]
pub use armed::{arm, hits, reach};

/// Marks a place between two steps. Labels are `operation: what was just done`.
#[cfg(not(feature = "crash-points"))]
#[inline(always)]
pub const fn reach(_label: &'static str) {}

#[cfg(feature = "crash-points")]
mod armed {
    use std::collections::BTreeMap;
    use std::sync::{Mutex, MutexGuard, PoisonError};

    use nix::sys::signal::{Signal, kill};
    use nix::unistd::Pid;

    static STATE: Mutex<State> = Mutex::new(State {
        hits: BTreeMap::new(),
        target: None,
    });

    struct State {
        hits: BTreeMap<&'static str, u64>,
        target: Option<(String, u64)>,
    }

    fn state() -> MutexGuard<'static, State> {
        STATE.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends this process when the place with this label is reached for the `hit`th time from
    /// now, counted from 1.
    pub fn arm(label: &str, hit: u64) {
        let mut state = state();
        let before = state.hits.get(label).copied().unwrap_or(0);
        state.target = Some((label.to_owned(), before + hit));
    }

    /// How often each place was reached by this process.
    #[must_use]
    pub fn hits() -> BTreeMap<&'static str, u64> {
        state().hits.clone()
    }

    /// Counts the place, and ends the process there when a test asked for it.
    pub fn reach(label: &'static str) {
        let mut state = state();
        let count = state.hits.entry(label).or_insert(0);
        *count += 1;
        let count = *count;
        let is_target = state
            .target
            .as_ref()
            .is_some_and(|(target, hit)| target == label && *hit == count);
        if is_target && kill(Pid::this(), Signal::SIGKILL).is_err() {
            std::process::abort();
        }
    }
}
