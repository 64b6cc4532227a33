//! The `pressluft` program: everything is in the library, this returns its exit code.

use std::process::ExitCode;

fn main() -> ExitCode {
    pressluft::cli::main()
}
