//! Exit codes: named, documented in `docs/cli.md`, and nowhere else chosen.

use std::process::ExitCode;

/// How the program ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Exit {
    Done = 0,
    Error = 1,
    /// Changes are pending, under `plan --detailed-exitcode`; something drifted, of `drift`.
    Pending = 2,
    InvalidDocuments = 3,
    /// A guard, window, approval or suspension is in the way.
    Blocked = 4,
    StalePlan = 5,
    LockTimeout = 6,
    SomeJobsFailed = 7,
    Unhealthy = 8,
    Usage = 64,
    Interrupted = 130,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}
