//! How long jobs may take.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::core::job::JobType;

/// Where nothing else is set.
const DEFAULT: Duration = Duration::from_secs(30 * 60);

/// The longest time of one attempt, by job type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Timeouts {
    pub default: Duration,
    pub by_type: BTreeMap<JobType, Duration>,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            default: DEFAULT,
            by_type: BTreeMap::new(),
        }
    }
}

impl Timeouts {
    /// The longest time of one attempt at such a job.
    #[must_use]
    pub fn of(&self, job_type: JobType) -> Duration {
        self.by_type.get(&job_type).copied().unwrap_or(self.default)
    }
}
