//! The `pressluft` program: everything is in the library, this returns its exit code.

use std::process::ExitCode;

/// A plan of a whole fleet takes much memory for a moment. The allocator of the C library keeps it for as
/// long as a daemon runs; this one gives it back.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    pressluft::cli::main()
}
