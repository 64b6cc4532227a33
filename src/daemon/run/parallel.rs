//! How many jobs may run at once, which may change while they do.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// A number of jobs, at least one. All clones are one.
#[derive(Clone, Debug)]
pub struct Parallel(Arc<AtomicUsize>);

impl Parallel {
    /// Starts with this many.
    #[must_use]
    pub fn new(jobs: usize) -> Self {
        Self(Arc::new(AtomicUsize::new(jobs)))
    }

    /// What runs goes on, even when it is more than `jobs` now.
    pub fn set(&self, jobs: usize) {
        self.0.store(jobs, Ordering::Relaxed);
    }

    pub(in crate::daemon) fn get(&self) -> usize {
        self.0.load(Ordering::Relaxed).max(1)
    }
}
