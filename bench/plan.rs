//! How long a large fleet takes, as ratios to the time that its YAML alone takes.
//!
//! `cargo bench --bench plan`, with `-- new` for the plans of a new fleet alone, or with `-- make DIR`
//! for the fleet alone. Everything is measured in one run on one machine, each thing in
//! a process of its own, so that the ratios mean something while the times do not.

mod fleet;
mod measure;
#[path = "plan/new.rs"]
mod new;

use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;

use measure::Run;
use pressluft::process;

const SIZE: fleet::Size = fleet::Size {
    nodes: 1_000,
    sites: 10_000,
};
/// How often each thing is measured; the fastest counts.
const TURNS: usize = 5;

fn main() -> ExitCode {
    // Cargo adds `--bench`.
    let args = std::env::args().skip(1).filter(|arg| arg != "--bench");
    let args: Vec<String> = args.collect();
    let result = match args.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["program", ref args @ ..] => {
            new::child(args).and_then(|line| writeln!(io::stdout(), "{line}").map(|()| true))
        }
        ["new"] => new_fleet(),
        [what, fleet, state] => measure::child(what, Path::new(fleet), Path::new(state))
            .and_then(|line| writeln!(io::stdout(), "{line}").map(|()| true)),
        ["make", directory] => fleet::write(Path::new(directory), SIZE).map(|_| true),
        _ => measure_all(),
    };
    match result {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            drop(writeln!(io::stderr(), "error: {error}"));
            ExitCode::FAILURE
        }
    }
}

/// Measures the plans of a fleet of which nothing is recorded yet.
fn new_fleet() -> io::Result<bool> {
    let directory = tempfile::tempdir()?;
    let root = directory.path().join("fleet");
    std::fs::create_dir(&root)?;
    fleet::write(&root, SIZE)?;
    commit(&root)?;
    new::measure(&root, directory.path(), &mut io::stdout().lock())
}

/// Prints the table; true when every target is met.
fn measure_all() -> io::Result<bool> {
    let directory = tempfile::tempdir()?;
    let (root, state) = (
        directory.path().join("fleet"),
        directory.path().join("state"),
    );
    std::fs::create_dir(&root)?;
    let mut out = io::stdout().lock();
    writeln!(
        out,
        "making a fleet of {} nodes and {} sites …",
        SIZE.nodes, SIZE.sites
    )?;
    let files = fleet::write(&root, SIZE)?;
    commit(&root)?;

    let parse = fastest(|_| measure::run("only-parse", &root, &state))?;
    let first = fastest(|_| {
        if state.exists() {
            std::fs::remove_dir_all(&state)?;
        }
        measure::run("load", &root, &state)
    })?;
    let again = fastest(|turn| {
        fleet::change(&files, turn)?;
        measure::run("load", &root, &state)
    })?;

    let snapshot = fastest(|_| measure::run("snapshot", &root, &state))?;

    measure::run("record", &root, &state)?;
    let first_plan = fastest(|_| {
        std::fs::remove_dir_all(&state)?;
        measure::run("plan", &root, &state)
    })?;
    let next_plan = fastest(|turn| {
        fleet::change(&files, TURNS + turn)?;
        measure::run("plan", &root, &state)
    })?;

    let ratio = |a: Run, b: Run| a.time.as_secs_f64() / b.time.as_secs_f64();
    let mut table = Table { out, met: true };
    table.head()?;
    table.time("parse the YAML, one thread", parse, None)?;
    table.time(
        "first load",
        first,
        Some(("of parsing", ratio(first, parse), 1.3)),
    )?;
    table.time(
        "load with one changed file",
        again,
        Some(("of the first", ratio(again, first), 0.07)),
    )?;
    table.time("of it: finding what changed", snapshot, None)?;
    table.time(
        "plan, record up to date",
        first_plan,
        Some(("of parsing", ratio(first_plan, parse), 2.0)),
    )?;
    table.time(
        "plan with one changed file",
        next_plan,
        Some(("of the first", ratio(next_plan, first_plan), 0.10)),
    )?;
    let most = [first, again, first_plan, next_plan].map(|run| run.memory);
    table.memory("peak memory", most.into_iter().max().unwrap_or(0), 400)?;
    let Table { mut out, met } = table;
    Ok(new::measure(&root, directory.path(), &mut out)? && met)
}

fn fastest(mut measure: impl FnMut(usize) -> io::Result<Run>) -> io::Result<Run> {
    let mut best = measure(0)?;
    for turn in 1..TURNS {
        let run = measure(turn)?;
        best.time = best.time.min(run.time);
        best.memory = best.memory.max(run.memory);
    }
    Ok(best)
}

fn commit(root: &Path) -> io::Result<()> {
    for args in [
        &["init", "--quiet"][..],
        &["add", "--all"],
        &[
            "-c",
            "user.name=bench",
            "-c",
            "user.email=b@example.com",
            "commit",
            "-qm",
            "Fleet",
        ],
    ] {
        let status = process::command("git")
            .current_dir(root)
            .args(args)
            .status()?;
        if !status.success() {
            return Err(io::Error::other("git failed"));
        }
    }
    Ok(())
}

struct Table<W> {
    out: W,
    met: bool,
}

impl<W: Write> Table<W> {
    fn head(&mut self) -> io::Result<()> {
        writeln!(
            self.out,
            "\n{:<28} {:>9} {:>9} {:>9}",
            "", "time", "ratio", "target"
        )
    }

    fn time(&mut self, name: &str, run: Run, goal: Option<(&str, f64, f64)>) -> io::Result<()> {
        let time = format!("{:.0} ms", run.time.as_secs_f64() * 1000.0);
        let Some((of, ratio, target)) = goal else {
            return writeln!(self.out, "{name:<28} {time:>9}");
        };
        let word = self.word(ratio <= target);
        writeln!(
            self.out,
            "{name:<28} {time:>9} {ratio:>9.3} {target:>9.2}  {word}  {of}"
        )
    }

    fn memory(&mut self, name: &str, bytes: u64, target: u64) -> io::Result<()> {
        let mebibytes = bytes / (1024 * 1024);
        let word = self.word(mebibytes < target);
        writeln!(
            self.out,
            "{name:<28} {:>9} {:>9} {target:>9}  {word}",
            format!("{mebibytes} MiB"),
            ""
        )
    }

    fn word(&mut self, met: bool) -> &'static str {
        self.met &= met;
        if met { "PASS" } else { "MISS" }
    }
}
