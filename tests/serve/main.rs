//! `pressluft serve` from the outside: real repositories that the `git` program pushes to, a real
//! database, the real binary. No jobs run here; what is queued and recorded is looked at.

#![expect(
    clippy::disallowed_methods,
    clippy::expect_used,
    reason = "tests start programs, and what fails is the test"
)]

mod daemon;
mod endpoint;
mod hook;
mod notify;
mod reconcile;
mod schedule;
mod signed;
mod windows;
mod world;
