//! The engine with the real ansible-core against real nodes.
//!
//! The nodes come from `tests/hosts/fleet`, as the fleet `engine`, and are left running for
//! the next test; `FLEET_NAME=engine tests/hosts/fleet down` removes them. Where this machine
//! cannot boot them, each test says so and does nothing.

#![expect(clippy::expect_used, reason = "a test ends where something is missing")]

#[path = "ansible_run/confined.rs"]
mod confined;
#[path = "ansible_run/death.rs"]
mod death;
#[path = "ansible_run/engines.rs"]
mod engines;
#[path = "ansible_run/failures.rs"]
mod failures;
#[path = "ansible_run/success.rs"]
mod success;
#[path = "ansible_run/support.rs"]
mod support;
