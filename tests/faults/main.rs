//! The fault matrix: real processes and a real SQLite file, broken in every way that we can
//! think of. After each case all invariants of the design are checked.
//!
//! `cargo test --features crash-points --test faults` gives the small dose, `make faults` the
//! large one. Arguments are names of cases (a part is enough); `PRESSLUFT_FAULTS_DOSE=large`
//! and `PRESSLUFT_FAULTS_SEED=N` choose how much and which.

#![cfg(test)]
#![expect(
    clippy::disallowed_methods,
    reason = "a test program reads its own environment"
)]

mod account;
mod cases;
mod checker;
mod context;
mod controller;
mod digest;
mod past;
mod random;
mod reference;
mod report;
mod roles;
mod script;
mod shim;
mod worker;
mod world;

use std::io::Write;
use std::process::ExitCode;

use roles::Arguments;

type Result<T, E = Box<dyn std::error::Error>> = std::result::Result<T, E>;

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let role = arguments.next().unwrap_or_default();
    let arguments = Arguments::new(arguments);
    let result = match role.as_str() {
        // The command line of the program itself.
        "supervise" => return pressluft::cli::main(),
        "serve" => match roles::arm_by_environment() {
            Ok(()) => return pressluft::cli::main(),
            Err(error) => Err(error),
        },
        "script" => roles::script(&arguments),
        "worker" => worker::run(&arguments),
        "restoring" => cases::restore::role(&arguments),
        "clearing" => cases::clearing::role(&arguments),
        "body" => worker::body(&arguments),
        _ => controller::run(),
    };
    match result {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            // Without a reader for this there is nobody to tell.
            drop(writeln!(std::io::stderr(), "{role}: {error}"));
            ExitCode::FAILURE
        }
    }
}
