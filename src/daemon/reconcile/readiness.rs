//! Whether the daemon does what it is for, and what keeps it from that.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::core::job::{UnknownWord, words};

words! {
    /// What keeps the daemon from its work.
    Hindrance, "hindrance" {
        /// No reconcile has ended yet.
        Starting = "starting",
        /// The fleet repo cannot be reached or read.
        RepositoryUnreachable = "repository-unreachable",
        /// The newest revision is not trusted.
        RevisionRefused = "revision-refused",
        /// The newest revision has errors.
        RevisionInvalid = "revision-invalid",
        /// The database is paused after a restore.
        Paused = "paused",
        /// The disk of the database is full or failing.
        Disk = "disk",
        /// The last reconcile could not be made.
        ReconcileFailed = "reconcile-failed",
        /// It is to end.
        Stopping = "stopping",
    }
}

/// One thing that keeps the daemon from its work.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Reason {
    pub what: Hindrance,
    pub message: String,
    pub since: Timestamp,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { what, message, .. } = self;
        write!(f, "{what}: {message}")
    }
}

/// What is known about that, shared by all threads of the daemon. All clones are one.
#[derive(Clone, Debug)]
pub struct Readiness(Arc<Mutex<BTreeMap<Hindrance, Reason>>>);

impl Readiness {
    /// Not ready: nothing was reconciled yet.
    #[must_use]
    pub fn new(now: Timestamp) -> Self {
        let readiness = Self(Arc::default());
        readiness.note(
            Hindrance::Starting,
            Some("no reconcile has ended yet".to_owned()),
            now,
        );
        readiness
    }

    /// Why the daemon is not ready; nothing when it is.
    #[must_use]
    pub fn reasons(&self) -> Vec<Reason> {
        self.lock().values().cloned().collect()
    }

    /// Notes that something is in the way, or is no more. It is so since it was noted first.
    pub(crate) fn note(&self, what: Hindrance, message: Option<String>, now: Timestamp) {
        let mut reasons = self.lock();
        match message {
            None => {
                reasons.remove(&what);
            }
            Some(message) => {
                let since = reasons.get(&what).map_or(now, |known| known.since);
                reasons.insert(
                    what,
                    Reason {
                        what,
                        message,
                        since,
                    },
                );
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<Hindrance, Reason>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_keeps_its_moment_until_it_is_gone() {
        let at = |second| Timestamp::from_second(second).expect("a time");
        let readiness = Readiness::new(at(1));
        readiness.note(Hindrance::Disk, Some("full".to_owned()), at(2));
        readiness.note(Hindrance::Disk, Some("still full".to_owned()), at(3));
        readiness.note(Hindrance::Starting, None, at(4));
        let reasons = readiness.reasons();
        assert_eq!(reasons.len(), 1);
        assert_eq!(
            (reasons[0].since, &*reasons[0].message),
            (at(2), "still full")
        );
        readiness.note(Hindrance::Disk, None, at(5));
        assert_eq!(readiness.reasons(), []);
    }
}
