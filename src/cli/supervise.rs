//! `pressluft supervise`: started by Pressluft itself, see `ansible::supervisor`.

use std::ffi::OsString;
use std::io::Write;
use std::process::ExitCode;
use std::time::Duration;

use crate::ansible::supervisor;

/// Run a command and leave nothing of it behind
#[derive(Debug, clap::Args)]
#[command(hide = true)]
pub(crate) struct Args {
    /// The process that must stay alive
    #[arg(long)]
    parent: i32,
    /// Milliseconds between SIGTERM and SIGKILL
    #[arg(long, default_value_t = 20_000)]
    grace_ms: u64,
    /// Begin only at a byte on standard input
    #[arg(long)]
    wait: bool,
    /// Become the command instead of watching over it
    #[arg(long)]
    as_child: bool,
    /// The command and its arguments
    #[arg(last = true, required = true)]
    command: Vec<OsString>,
}

/// The exit code of the command.
pub(crate) fn run(args: &Args) -> ExitCode {
    let result = if args.as_child {
        Err(supervisor::become_command(&args.command, args.parent))
    } else {
        supervisor::supervise(
            &args.command,
            args.parent,
            Duration::from_millis(args.grace_ms),
            args.wait,
        )
    };
    let code = match result {
        Ok(code) => code,
        Err(error) => {
            let program = args.command.first().map(|word| word.to_string_lossy());
            let program = program.unwrap_or_default();
            let mut stderr = std::io::stderr().lock();
            // Without a reader for this there is nobody to tell.
            drop(writeln!(stderr, "cannot run `{program}`: {error}"));
            supervisor::NOT_STARTED
        }
    };
    ExitCode::from(u8::try_from(code).unwrap_or(u8::MAX))
}
