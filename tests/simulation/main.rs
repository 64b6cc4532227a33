//! A seeded simulation of the queue: a fake clock, the real store, random interleavings of
//! several workers that crash, come back too late and have wrong clocks.
//!
//! A model in memory predicts every answer and every job. `PROPTEST_CASES` chooses how many
//! runs; seeds that failed are kept in `failing-seeds.txt` and run first ever after.

#![cfg(test)]
#![expect(
    clippy::disallowed_methods,
    reason = "a test reads its own environment"
)]

mod model;
mod real;

use proptest::test_runner::{Config, FileFailurePersistence};
use proptest_state_machine::prop_state_machine;

use real::Real;

/// Without `PROPTEST_CASES`: a few seconds.
const CASES: u32 = 24;

fn config() -> Config {
    let cases = std::env::var("PROPTEST_CASES")
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(CASES);
    Config {
        cases,
        max_shrink_iters: 4_000,
        failure_persistence: Some(Box::new(FileFailurePersistence::Direct(
            "tests/simulation/failing-seeds.txt",
        ))),
        ..Config::default()
    }
}

prop_state_machine! {
    #![proptest_config(config())]

    #[test]
    fn every_interleaving_is_as_the_model_says(sequential 1..100 => Real);
}
