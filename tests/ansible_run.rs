//! The engine with the real ansible-core against real nodes.
//!
//! The nodes come from `tests/hosts/fleet` and are left running for the next test; where this
//! machine cannot boot them, each test says so and does nothing.

#[path = "ansible_run/death.rs"]
mod death;
#[path = "ansible_run/failures.rs"]
mod failures;
#[path = "ansible_run/overhead.rs"]
mod overhead;
#[path = "ansible_run/success.rs"]
mod success;
#[path = "ansible_run/support.rs"]
mod support;
