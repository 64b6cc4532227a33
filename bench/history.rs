//! Whether history has an end: days of checks and changes pass on a fake clock, the past is cleared
//! up as `serve` does it, and size, claims and pages at the end are compared with those of the
//! beginning, in one run.
//!
//! `cargo bench --bench history`: a small fleet for 400 days (`--environments N --days N`), and a larger
//! one for three (`--wide N`). Looks are folded from the second day on, so what an environment takes
//! in any case shows in the larger one; what comes on top is bounded by counts, and what one of
//! these takes shows in the long run. All of 20,000 environments for a year are 38 million looks:
//! `--environments 20000 --days 365` takes about half a day.

#[path = "history/year.rs"]
mod year;

use std::io::{self, Write};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use pressluft::core::history::{HistoryKind, HistoryPolicy};
use pressluft::daemon::{HistorySettings, Pace, clear_up};
use pressluft::store::{HistorySize, JobFilter, Store};
use year::{Fleet, day};

type Result<T, E = Box<dyn std::error::Error>> = std::result::Result<T, E>;

/// The fleet that the limits have to do for.
const LARGE: u64 = 20_000;
const LIMIT: u64 = 2_000_000_000;
/// The days after which there is something of everything, and the first figures are taken.
const SETTLED: i64 = 40;

fn main() -> ExitCode {
    match measure() {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            drop(writeln!(io::stderr(), "error: {error}"));
            ExitCode::FAILURE
        }
    }
}

fn option(name: &str, default: usize) -> Result<usize> {
    let words: Vec<String> = std::env::args().collect();
    match words.iter().position(|word| word == name) {
        Some(at) => Ok(words.get(at + 1).ok_or("a number is missing")?.parse()?),
        None => Ok(default),
    }
}

/// What is measured at one moment.
struct Figures {
    size: HistorySize,
    claim: Duration,
    pages: Duration,
}

/// Some days of a fleet.
struct Span {
    looks: u64,
    took: Duration,
    /// Of that, with its rests.
    clearing: Duration,
    /// Bytes of the database before there was anything.
    empty: u64,
    /// Of the settled fleet, and at the end.
    first: Figures,
    last: Figures,
    is_sound: bool,
}

fn measure() -> Result<bool> {
    let environments = option("--environments", 20)?;
    let days = i64::try_from(option("--days", 400)?)?.max(SETTLED + 1);
    let wide = option("--wide", 1_000)?;
    let long = live(environments, days, SETTLED)?;
    let short = live(wide, 3, 1)?;
    let mut out = io::stdout().lock();
    let mut met = true;
    let mut line = |name: &str, value: String, target: &str, is_met: bool| {
        met &= is_met;
        let word = if is_met { "PASS" } else { "MISS" };
        writeln!(out, "{name:<44} {value:>16}  target {target:<10} {word}")
    };
    for (span, count, days) in [(&long, environments, days), (&short, wide, 3)] {
        let name = format!("  looks: {count} environments, {days} days");
        let seconds = span.took.as_secs_f64();
        line(
            &name,
            format!("{} in {seconds:.0} s", span.looks),
            "-",
            true,
        )?;
        let share = span.clearing.as_secs_f64() / seconds * 100.0;
        line(
            "  of that clearing up, with rests",
            format!("{share:.0} %"),
            "-",
            true,
        )?;
    }
    for (name, figures) in [("settled", &long.first), ("at the end", &long.last)] {
        let size = &figures.size;
        let value = megabytes(used(size));
        line(&format!("  in use, {name}"), value, "-", true)?;
        let value = format!("{}, {}, {}", size.jobs, size.looks, size.audit_entries);
        line("  jobs, looks, audit entries", value, "-", true)?;
    }
    let ratio = of(long.last.claim, long.first.claim);
    line(
        "a claim at the end, of the beginning",
        format!("{ratio:.2}"),
        "<= 1.5",
        ratio <= 1.5,
    )?;
    let ratio = of(long.last.pages, long.first.pages);
    line(
        "what pages read, of the beginning",
        format!("{ratio:.2}"),
        "<= 2",
        ratio <= 2.0,
    )?;
    let each = used(&short.last.size).saturating_sub(short.empty) / wide as u64;
    line(
        "  an environment in any case",
        format!("{:.1} kB", each as f64 / 1e3),
        "-",
        true,
    )?;
    let change = per_change(&long);
    line(
        "  a change with its entries",
        format!("{:.1} kB", change as f64 / 1e3),
        "-",
        true,
    )?;
    let large = large(each, change);
    let name = "20,000 environments, at the limits by count";
    line(name, megabytes(large), "< 2,000 MB", large < LIMIT)?;
    let size = &long.last.size;
    let value = format!("{} in {}", size.closed_entries, size.segments);
    line("  audit entries in closed segments", value, "-", true)?;
    let is_sound = long.is_sound && short.is_sound;
    line(
        "chain, segments and record hold",
        String::new(),
        "-",
        is_sound,
    )?;
    Ok(met)
}

/// Lets a fleet live for `days`; the first figures are those of the day `settled`.
fn live(environments: usize, days: i64, settled: i64) -> Result<Span> {
    let directory = tempfile::tempdir()?;
    let mut store = Store::open(&directory.path().join("state.db"))?;
    let empty = store.size()?;
    let fleet = Fleet::record(&mut store, environments)?;
    let settings = HistorySettings {
        policy: HistoryPolicy::default(),
        log_dir: directory.path().join("logs"),
        state_dir: directory.path().to_owned(),
    };
    let began = Instant::now();
    let (mut looks, mut clearing) = (0, Duration::ZERO);
    let mut first = None;
    let mut claims = Vec::new();
    for today in 0..days {
        claims.clear();
        looks += fleet.live(&mut store, today, &mut claims)?;
        let at = Instant::now();
        for hour in [8, 16, 24] {
            let now = day(today, hour * 3_600);
            let pace = (Pace::Brisk, false);
            clear_up(&mut store, &settings, pace, "serve", &|| true, now)?;
        }
        clearing += at.elapsed();
        if today == settled {
            first = Some(figures(&store, &mut claims, today)?);
        }
    }
    Ok(Span {
        looks,
        took: began.elapsed(),
        clearing,
        empty,
        first: first.ok_or("too few days")?,
        last: figures(&store, &mut claims, days - 1)?,
        is_sound: store.violations()?.is_empty(),
    })
}

fn used(size: &HistorySize) -> u64 {
    size.bytes - size.free
}

fn of(last: Duration, first: Duration) -> f64 {
    last.as_secs_f64() / first.as_secs_f64()
}

fn megabytes(bytes: u64) -> String {
    format!("{:.1} MB", bytes as f64 / 1e6)
}

/// Bytes of one job that changed something, with its attempt, tasks, payload and audit entries.
fn per_change(span: &Span) -> u64 {
    let (first, last) = (&span.first.size, &span.last.size);
    let jobs = (last.jobs + last.looks)
        .saturating_sub(first.jobs + first.looks)
        .max(1);
    used(last).saturating_sub(used(first)) / jobs
}

/// Bytes of the database of the large fleet: what each environment has in any case, and as many
/// jobs as the limits let through.
fn large(each: u64, change: u64) -> u64 {
    let policy = HistoryPolicy::default();
    let jobs = policy.of(HistoryKind::Jobs).count + policy.of(HistoryKind::Looks).count;
    each * LARGE + change * jobs
}

fn figures(store: &Store, claims: &mut [Duration], today: i64) -> Result<Figures> {
    claims.sort_unstable();
    let claim = claims[claims.len() / 2];
    let mut times = Vec::new();
    for _ in 0..40 {
        let began = Instant::now();
        let filter = JobFilter {
            limit: 50,
            ..JobFilter::default()
        };
        store.jobs(&filter)?;
        store.job_totals_ever()?;
        store.history_size(day(today, 0))?;
        store.standings(day(today, 0))?;
        store.looks(&year::environment(0))?;
        times.push(began.elapsed());
    }
    times.sort_unstable();
    Ok(Figures {
        size: store.history_size(day(today, 0))?,
        claim,
        pages: times[times.len() / 2],
    })
}
