//! The whole program against real hosts. Run by `tests/hosts/run`, with the release binary.
#![expect(
    clippy::disallowed_methods,
    reason = "tests start programs and read the environment"
)]

mod converge;
mod errors;
mod interruption;
mod support;
