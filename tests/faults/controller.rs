//! Runs the cases and prints the table.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Instant;

use pressluft::process;

use crate::Result;
use crate::cases::{
    broken_disk, canary, clearing, crash_points, kills, openings, power_loss, restore, serve,
    stopped,
};
use crate::checker;
use crate::context::{Context, Dose};
use crate::report::Report;

type Case = fn(&Context) -> Result<Report>;

const CASES: &[(&str, Case)] = &[
    ("checker sees what is broken", |context| {
        checker::mutations::run(&context.directory)
    }),
    ("kill at every crash point", crash_points::run),
    (
        "kill at crash points under load",
        kills::crash_points_under_load,
    ),
    ("kill in a backup or restore", restore::run),
    ("kill while the past is cleared up", clearing::run),
    ("kill at random, 4 workers", kills::at_random),
    ("kill with a hot site", kills::hot_site),
    ("kill with clock jumps", kills::clock_jumps),
    (
        "kill with children that ignore TERM",
        kills::stubborn_children,
    ),
    ("kill the supervisor of a job", kills::supervisors),
    ("kill serve while commits are pushed", serve::run),
    ("stop past the lease, go on", stopped::run),
    (
        "6 openings of a new database at once",
        openings::new_database,
    ),
    ("6 workers at once after a death", openings::after_a_death),
    ("no space at the Nth write", broken_disk::no_space),
    ("full file system, then room", broken_disk::full_file_system),
    ("I/O error at the Nth write", broken_disk::write_error),
    ("I/O error at the Nth sync", broken_disk::sync_error),
    ("power loss at each sync and reply", power_loss::run),
    ("canary through a killed program", canary::run),
];

/// Set inside of the namespace.
const CONTAINED: &str = "PRESSLUFT_FAULTS_CONTAINED";
/// Of each case; the rest is counted.
const SHOWN: usize = 12;

/// All cases, or those that are named.
pub(crate) fn run() -> Result<u8> {
    let mut out = std::io::stdout().lock();
    let words: Vec<String> = std::env::args().skip(1).collect();
    if words.iter().any(|word| word == "--list") {
        for (name, _) in CASES {
            writeln!(out, "{name}: test")?;
        }
        return Ok(0);
    }
    let is_contained = std::env::var_os(CONTAINED).is_some();
    if !is_contained && can_contain() {
        drop(out);
        return contained(&words);
    }
    let names: Vec<&String> = words
        .iter()
        .filter(|word| !word.starts_with("--"))
        .collect();
    let dose = match std::env::var("PRESSLUFT_FAULTS_DOSE").as_deref() {
        Ok("large") => Dose::Large,
        _ => Dose::Small,
    };
    let seed = std::env::var("PRESSLUFT_FAULTS_SEED")
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(1);
    let place = place();
    writeln!(
        out,
        "fault matrix, {} dose, seed {seed}, files below {}, {}",
        if dose == Dose::Large {
            "large"
        } else {
            "small"
        },
        place.display(),
        if is_contained {
            "in a PID namespace of its own"
        } else {
            "without a PID namespace of its own (that takes root)"
        },
    )?;
    writeln!(
        out,
        "{:<38}{:>8}{:>12}{:>9}",
        "case", "runs", "violations", "seconds"
    )?;
    let mut failed = false;
    for (name, case) in CASES {
        if !names.is_empty() && !names.iter().any(|part| name.contains(part.as_str())) {
            continue;
        }
        let directory = tempfile::Builder::new()
            .prefix("pressluft-faults-")
            .tempdir_in(&place)?;
        let context = Context {
            dose,
            seed,
            directory: directory.path().to_owned(),
            is_contained,
        };
        let begun = Instant::now();
        let report = case(&context).unwrap_or_else(|error| Report {
            violations: vec![format!("the case itself failed: {error}")],
            ..Report::default()
        });
        failed |= !report.violations.is_empty();
        write!(
            out,
            "{name:<38}{:>8}{:>12}{:>9.1}",
            report.runs,
            report.violations.len(),
            begun.elapsed().as_secs_f64()
        )?;
        writeln!(out, "  {}", report.notes.join("; "))?;
        for violation in report.violations.iter().take(SHOWN) {
            writeln!(out, "    {violation}")?;
        }
        out.flush()?;
    }
    Ok(u8::from(failed))
}

/// Where databases are made: in memory where there is room. A process that is killed loses
/// nothing that the kernel has, so no case depends on a real disk; power loss is replayed.
fn place() -> PathBuf {
    const ROOM: u64 = 2 << 30;
    if let Some(directory) = std::env::var_os("PRESSLUFT_FAULTS_DIRECTORY") {
        return directory.into();
    }
    let memory = Path::new("/dev/shm");
    match nix::sys::statvfs::statvfs(memory) {
        Ok(free) if free.blocks_available() * free.fragment_size() > ROOM => memory.to_owned(),
        Ok(_) | Err(_) => std::env::temp_dir(),
    }
}

/// Whether this machine lets us have a namespace.
fn can_contain() -> bool {
    process::command("unshare")
        .args(["--pid", "--fork", "--mount-proc", "true"])
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

/// This program again, where it sees no processes but its own and leaves none behind. The
/// shell is the first process there: it reaps what loses its parent.
fn contained(words: &[String]) -> Result<u8> {
    let status = process::inherited("unshare")
        .args(["--pid", "--fork", "--mount-proc", "--kill-child", "--"])
        .args(["sh", "-c", "\"$@\"; exit $?", "faults"])
        .arg(std::env::current_exe()?)
        .args(words)
        .env(CONTAINED, "1")
        .status()?;
    Ok(u8::try_from(status.code().unwrap_or(1)).unwrap_or(1))
}
