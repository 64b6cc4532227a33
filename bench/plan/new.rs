//! What the program takes for the plan of a new fleet, in each form: processor time as a ratio to that
//! of `validate`, the most memory that it had at any time, and the size of the file that keeps it.

use std::fs;
use std::io::{self, Write};
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike;
use pressluft::process;

/// How often each thing is measured; the fastest counts, and the one with the most memory.
const TURNS: usize = 3;
/// In megabytes.
const MEMORY: f64 = 300.0;
const SAVED: f64 = 30.0;
/// Of the processor time that `validate` takes.
const PROCESSOR: f64 = 2.0;

/// What one run of the program took.
#[derive(Clone, Copy, Debug)]
struct Run {
    processor: Duration,
    /// In bytes.
    memory: u64,
}

/// Prints the table of the fleet in `root`; true when every target is met.
pub(crate) fn measure(root: &Path, directory: &Path, out: &mut dyn Write) -> io::Result<bool> {
    let state = directory.join("new");
    let saved = directory.join("saved.plan");
    let (fleet, file) = (root.display().to_string(), saved.display().to_string());
    let validate = best(&state, &["validate", &fleet])?;
    writeln!(
        out,
        "\n{:<28} {:>9} {:>9} {:>9}  target {PROCESSOR} of validate, {MEMORY} MB",
        "a new fleet", "processor", "ratio", "memory"
    )?;
    let mut met = true;
    let mut row = |name: &str, run: Run, most: f64| {
        let ratio = run.processor.as_secs_f64() / validate.processor.as_secs_f64();
        let memory = run.memory as f64 / 1e6;
        let is_met = ratio <= most && memory < MEMORY;
        met &= is_met;
        let word = if is_met { "PASS" } else { "MISS" };
        let processor = format!("{:.0} ms", run.processor.as_secs_f64() * 1000.0);
        writeln!(
            out,
            "{name:<28} {processor:>9} {ratio:>9.2} {:>9}  {word}",
            format!("{memory:.0} MB")
        )
    };
    row("validate", validate, PROCESSOR)?;
    row("plan", best(&state, &["plan", &fleet])?, PROCESSOR)?;
    let json = best(&state, &["plan", "--json", &fleet])?;
    row("plan --json", json, PROCESSOR)?;
    let kept = best(&state, &["plan", "--out", &file, &fleet])?;
    row("plan --out", kept, PROCESSOR)?;
    let apply = ["apply", "--no-wait", "--auto-approve"];
    // Writing the database takes what it takes.
    let any = f64::INFINITY;
    row(
        "apply",
        best(&state, &[&apply[..], &[&fleet]].concat())?,
        any,
    )?;
    let of_file = best(&state, &[&apply[..2], &[&file]].concat())?;
    row("apply FILE", of_file, any)?;
    let size = fs::metadata(&saved)?.len() as f64 / 1e6;
    let is_small = size < SAVED;
    let word = if is_small { "PASS" } else { "MISS" };
    writeln!(
        out,
        "{:<28} {:>29}  {word}  target {SAVED}",
        "saved plan",
        format!("{size:.1} MB")
    )?;
    Ok(met && is_small)
}

/// The best of some runs, each with a state directory that is not there yet.
fn best(state: &Path, args: &[&str]) -> io::Result<Run> {
    let mut best: Option<Run> = None;
    for _ in 0..TURNS {
        if state.exists() {
            fs::remove_dir_all(state)?;
        }
        let run = run(state, args)?;
        best = Some(best.map_or(run, |best| Run {
            processor: best.processor.min(run.processor),
            memory: best.memory.max(run.memory),
        }));
    }
    best.ok_or_else(|| io::Error::other("nothing was measured"))
}

/// Runs the program below a process of its own, which has no other child to account for.
fn run(state: &Path, args: &[&str]) -> io::Result<Run> {
    let output = process::command(std::env::current_exe()?)
        .arg("program")
        .args(args)
        .arg("--state-dir")
        .arg(state)
        .stderr(Stdio::inherit())
        .output()?;
    let text = String::from_utf8_lossy(&output.stdout);
    let mut numbers = text.split_whitespace().map(str::parse::<u64>);
    match (numbers.next(), numbers.next()) {
        (Some(Ok(microseconds)), Some(Ok(memory))) if output.status.success() => Ok(Run {
            processor: Duration::from_micros(microseconds),
            memory,
        }),
        _ => Err(io::Error::other(format!("{args:?} failed: {text}"))),
    }
}

/// What that process does. The line is microseconds and bytes.
pub(crate) fn child(args: &[&str]) -> io::Result<String> {
    let status = process::command(env!("CARGO_BIN_EXE_pressluft"))
        .args(args)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()?;
    // 4: parts of the fleet are blocked.
    if !matches!(status.code(), Some(0 | 4)) {
        return Err(io::Error::other(format!("{args:?}: {status}")));
    }
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN)?;
    let processor = usage.user_time().num_microseconds() + usage.system_time().num_microseconds();
    Ok(format!("{processor} {}", usage.max_rss() * 1024))
}
