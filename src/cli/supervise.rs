//! `pressluft supervise`: started by Pressluft itself, see `ansible::supervisor`.

use std::ffi::OsString;
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use crate::ansible::supervisor;

/// Run a command and leave nothing of it behind
#[derive(Debug, clap::Args)]
#[command(hide = true)]
pub(crate) struct Args {
    /// The process that must stay alive
    #[arg(long, default_value_t = 0)]
    parent: i32,
    /// Watch over this child, which runs the command already, and report on standard output
    #[arg(long, value_name = "PID")]
    adopt: Option<i32>,
    /// Milliseconds between SIGTERM and SIGKILL
    #[arg(long, default_value_t = 20_000)]
    grace_ms: u64,
    /// Begin only at a byte on standard input
    #[arg(long)]
    wait: bool,
    /// Become the command instead of watching over it
    #[arg(long)]
    as_child: bool,
    /// The file by which to enter the control group of the job
    #[arg(long, value_name = "FILE")]
    group: Option<PathBuf>,
    /// What the command can reach, as JSON; everything without it
    #[arg(
        long,
        env = "PRESSLUFT_REACH",
        value_name = "JSON",
        hide_env_values = true
    )]
    reach: Option<String>,
    /// The command and its arguments
    #[arg(last = true, required = true)]
    command: Vec<OsString>,
}

/// The exit code of the command.
pub(crate) fn run(args: &Args) -> ExitCode {
    let grace = Duration::from_millis(args.grace_ms);
    let result = match args.adopt {
        Some(child) => adopt(child, grace),
        None if args.as_child => Err(supervisor::become_command(
            &args.command,
            args.parent,
            args.group.as_deref(),
            args.reach.as_deref(),
        )),
        None => supervisor::supervise(&args.command, args.parent, grace, args.wait),
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

/// Says what happens on standard output: nobody else can see how somebody else's child ends.
fn adopt(child: i32, grace: Duration) -> std::io::Result<i32> {
    let say = |line: String| {
        let mut stdout = std::io::stdout().lock();
        writeln!(stdout, "{line}").and_then(|()| stdout.flush())
    };
    let code = supervisor::adopt(child, grace, &mut || {
        say(format!("started {}", std::process::id()))
    })?;
    // Without a reader for this there is nobody to tell.
    drop(say(format!("ended {code}")));
    Ok(code)
}
