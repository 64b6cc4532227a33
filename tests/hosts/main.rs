//! The whole program against real hosts. Run by `tests/hosts/run`, with the release binary.
#![expect(
    clippy::disallowed_methods,
    clippy::expect_used,
    reason = "tests start programs and read the environment, and what fails is the test"
)]

#[path = "../boundaries/mod.rs"]
mod boundaries;
mod caches;
mod converge;
mod effects;
mod errors;
mod fence;
mod interruption;
mod languages;
mod queue;
mod serve;
mod support;
