//! How fast the queue is, as ratios: against the same statements without any of our code, of a
//! queue that is half one busy site against an even one, and with a million jobs waiting.
//!
//! `cargo bench --bench queue`, or with the names of parts: `bare`, `hot`, `million`. Ratios
//! of one run mean something while the rates do not.

#[path = "queue/bare.rs"]
mod bare;
#[path = "queue/fill.rs"]
mod fill;

use std::collections::VecDeque;
use std::io::{self, Write};
use std::path::Path;
use std::process::{ExitCode, Stdio};
use std::time::{Duration, Instant};

use pressluft::core::recorded::ResourceStatus;
use pressluft::process;
use pressluft::store::{Claim, Finish, Outcome, Scope, StateChange, Store, StoreError};

type Result<T, E = Box<dyn std::error::Error>> = std::result::Result<T, E>;

const NODES: usize = 2_000;
/// How many jobs one worker runs at once.
const SLOTS: usize = 8;
const CYCLES: usize = 4_000;
/// How often each rate is measured; the best counts.
const TURNS: usize = 3;
const PROCESSES: usize = 4;
/// How long the processes work on the million.
const SPAN: Duration = Duration::from_secs(15);

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = args.iter().map(String::as_str).collect();
    let result = match words[..] {
        ["work", database, name] => work(Path::new(database), name).map(|()| true),
        _ => measure_all(&words),
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

fn measure_all(words: &[&str]) -> Result<bool> {
    let mut out = io::stdout().lock();
    let names: Vec<&&str> = words
        .iter()
        .filter(|word| !word.starts_with("--"))
        .collect();
    let wanted = |name: &str| names.is_empty() || names.iter().any(|word| **word == name);
    let mut met = true;
    let mut line = |name: &str, value: String, target: &str, is_met: bool| {
        met &= is_met;
        let word = if is_met { "PASS" } else { "MISS" };
        writeln!(out, "{name:<36} {value:>14}  target {target:<10} {word}")
    };
    if wanted("bare") {
        let (ours, bare) = against_bare()?;
        let ratio = ours / bare;
        let value = format!("{ratio:.2}");
        line(
            "cycles/s, of the bare statements",
            value,
            ">= 0.7",
            ratio >= 0.7,
        )?;
        line("  cycles/s", format!("{ours:.0} of {bare:.0}"), "-", true)?;
    }
    if wanted("hot") {
        let directory = tempfile::tempdir()?;
        let even = rate_of(&directory.path().join("even"), 100_000, false)?;
        let hot = rate_of(&directory.path().join("hot"), 100_000, true)?;
        let ratio = hot / even;
        let value = format!("{ratio:.2}");
        line(
            "cycles/s with a hot site, of even",
            value,
            ">= 0.5",
            ratio >= 0.5,
        )?;
        line("  cycles/s", format!("{hot:.0} of {even:.0}"), "-", true)?;
    }
    if wanted("million") {
        let directory = tempfile::tempdir()?;
        let path = directory.path().join("state.db");
        let begun = Instant::now();
        fill::fill(&path, 1_000_000, NODES, true)?;
        let seconds = format!("{:.0} s", begun.elapsed().as_secs_f64());
        line("  queueing 1,000,000 jobs", seconds, "-", true)?;
        let mut store = Store::open(&path)?;
        let (_, mut alone) = cycles(&mut store, "alone", CYCLES)?;
        let p99 = percentile(&mut alone, 0.99);
        line(
            "p99 of a claim, 1,000,000 queued",
            milliseconds(p99),
            "< 50 ms",
            p99 < Duration::from_millis(50),
        )?;
        let mut all = together(&path)?;
        let p99 = percentile(&mut all, 0.99);
        line("  the same over 4 processes", milliseconds(p99), "-", true)?;
        let worst = percentile(&mut all, 1.0);
        line(
            "worst claim over 4 processes",
            milliseconds(worst),
            "< 500 ms",
            worst < Duration::from_millis(500),
        )?;
        line("  claims in it", all.len().to_string(), "-", true)?;
    }
    Ok(met)
}

/// Cycles per second of the store and of the same statements alone, on equal databases.
fn against_bare() -> Result<(f64, f64)> {
    let directory = tempfile::tempdir()?;
    let path = directory.path().join("state.db");
    fill::fill(&path, 60_000, NODES, false)?;
    let copy = directory.path().join("bare.db");
    std::fs::copy(&path, &copy)?;
    let mut store = Store::open(&path)?;
    let mut bare = bare::Bare::open(&copy)?;
    let (mut ours, mut theirs) = (0.0_f64, 0.0_f64);
    for _ in 0..TURNS {
        ours = ours.max(cycles(&mut store, "worker", CYCLES)?.0);
        theirs = theirs.max(bare.cycles(CYCLES)?);
    }
    Ok((ours, theirs))
}

fn rate_of(path: &Path, jobs: usize, is_hot: bool) -> Result<f64> {
    fill::fill(path, jobs, NODES, is_hot)?;
    let mut store = Store::open(path)?;
    let mut best = 0.0_f64;
    for _ in 0..TURNS {
        best = best.max(cycles(&mut store, "worker", CYCLES)?.0);
    }
    Ok(best)
}

/// Claims and finishes, with [`SLOTS`] jobs running at any time: cycles per second, and how
/// long each claim took.
fn cycles(store: &mut Store, name: &str, count: usize) -> Result<(f64, Vec<Duration>)> {
    let mut running: VecDeque<Claim> = VecDeque::new();
    let mut times = Vec::with_capacity(count);
    let begun = Instant::now();
    for n in 0..count {
        let asked = Instant::now();
        let claim = store.claim(name, Scope::All, fill::at(n))?;
        times.push(asked.elapsed());
        running.push_back(claim.ok_or("the queue is empty")?);
        if running.len() > SLOTS {
            finish(store, name, running.pop_front(), n)?;
        }
    }
    let rate = count as f64 / begun.elapsed().as_secs_f64();
    while let Some(claim) = running.pop_front() {
        finish(store, name, Some(claim), count)?;
    }
    Ok((rate, times))
}

fn finish(store: &mut Store, name: &str, claim: Option<Claim>, n: usize) -> Result<(), StoreError> {
    let Some(claim) = claim else { return Ok(()) };
    let changes = [
        fill::record(&claim.job.resource, &claim.job.node_id),
        StateChange::Status {
            id: claim.job.resource.clone(),
            status: ResourceStatus::Active,
        },
    ];
    let finish = Finish {
        job: claim.job.id,
        token: claim.token,
        outcome: Outcome::Succeeded,
        changes: &changes,
    };
    store.finish(&finish, name, fill::at(n)).map(drop)
}

/// Several processes on one database; how long each claim took.
fn together(path: &Path) -> Result<Vec<Duration>> {
    let children = (0..PROCESSES)
        .map(|n| {
            process::command(std::env::current_exe()?)
                .arg("work")
                .arg(path)
                .arg(format!("worker-{n}"))
                .stdout(Stdio::piped())
                .spawn()
        })
        .collect::<io::Result<Vec<_>>>()?;
    let mut times = Vec::new();
    for child in children {
        let output = child.wait_with_output()?;
        if !output.status.success() {
            return Err(format!("a worker failed: {}", output.status).into());
        }
        for word in String::from_utf8(output.stdout)?.split_whitespace() {
            times.push(Duration::from_nanos(word.parse()?));
        }
    }
    Ok(times)
}

/// One of these processes: it prints nanoseconds.
fn work(path: &Path, name: &str) -> Result<()> {
    let mut store = Store::open(path)?;
    let begun = Instant::now();
    let mut times = Vec::new();
    while begun.elapsed() < SPAN {
        times.extend(cycles(&mut store, name, 100)?.1);
    }
    let words: Vec<String> = times
        .iter()
        .map(|time| time.as_nanos().to_string())
        .collect();
    Ok(writeln!(io::stdout(), "{}", words.join(" "))?)
}

fn percentile(times: &mut [Duration], part: f64) -> Duration {
    times.sort_unstable();
    let last = times.len().saturating_sub(1);
    times
        .get((last as f64 * part) as usize)
        .copied()
        .unwrap_or_default()
}

fn milliseconds(time: Duration) -> String {
    format!("{:.2} ms", time.as_secs_f64() * 1000.0)
}
