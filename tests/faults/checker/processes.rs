//! I5: no child process lives without a lease.
//!
//! Every process that a job starts has the job's token in its environment, which its own
//! children inherit wherever they hide (other sessions, other parents). The process table says
//! who lives, the database which tokens are held.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use rusqlite::{Connection, OpenFlags};

use crate::Result;

/// The variable that marks a job's processes: `RUN:TOKEN`.
pub(crate) const MARK: &str = "PRESSLUFT_FAULTS_JOB";

/// A living process of a job.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Child {
    pub(crate) pid: i32,
    /// Its start in clock ticks since boot, which tells it from later ones of the same number.
    pub(crate) start: u64,
    pub(crate) token: u64,
}

/// The living processes of all jobs of one run.
pub(crate) fn children(run: &str) -> Result<Vec<Child>> {
    let mark = format!("{MARK}={run}:");
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc")? {
        let name = entry?.file_name();
        let Some(pid) = name.to_str().and_then(|name| name.parse::<i32>().ok()) else {
            continue;
        };
        // It may have ended since, and then it is not one that lives.
        let Ok(environment) = fs::read(format!("/proc/{pid}/environ")) else {
            continue;
        };
        let token = environment
            .split(|byte| *byte == 0)
            .filter_map(|variable| std::str::from_utf8(variable).ok())
            .find_map(|variable| variable.strip_prefix(&mark)?.parse::<u64>().ok());
        if let Some(token) = token
            && let Some(start) = start_of_living(pid)
        {
            found.push(Child { pid, start, token });
        }
    }
    Ok(found)
}

/// Processes of jobs whose attempt is not open: alive before and after the database was asked.
///
/// The supervisor of an attempt that has no recorded process waits for a go-ahead that never
/// comes, and is about to see that. It has begun nothing, and whatever else had begun is found.
pub(crate) fn without_lease(database: &Path, run: &str) -> Result<Vec<String>> {
    let before = children(run)?;
    if before.is_empty() {
        return Ok(Vec::new());
    }
    let held = tokens(
        database,
        "SELECT attempts.token FROM attempts JOIN jobs ON jobs.id = attempts.job
         WHERE attempts.outcome IS NULL AND jobs.status IN ('running', 'unknown')",
    )?;
    let unrecorded = tokens(database, "SELECT token FROM attempts WHERE pid IS NULL")?;
    Ok(before
        .into_iter()
        .filter(|child| !held.contains(&child.token))
        .filter(|child| !(unrecorded.contains(&child.token) && is_supervisor(child.pid)))
        .filter(|child| start_of_living(child.pid) == Some(child.start))
        .filter_map(|child| {
            // Without a command line it has no memory any more: it is ending and runs nothing.
            let line = fs::read(format!("/proc/{}/cmdline", child.pid)).unwrap_or_default();
            let line = String::from_utf8_lossy(&line).replace('\0', " ");
            let words = (!line.is_empty()).then_some(line)?;
            let recorded = attempt(database, child.token).unwrap_or_else(|error| error.to_string());
            Some(format!(
                "I5: process {} of token {} lives without a lease: {words}; {recorded}",
                child.pid, child.token
            ))
        })
        .collect())
}

/// What is recorded of an attempt, for whoever looks for the cause.
fn attempt(database: &Path, token: u64) -> Result<String> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(database, flags)?;
    let number = i64::try_from(token)?;
    Ok(connection.query_row(
        "SELECT json_object('pid', pid, 'outcome', outcome, 'message', error_message,
             'worker', worker) FROM attempts WHERE token = ?1",
        [number],
        |row| row.get(0),
    )?)
}

/// The tokens that a query finds.
fn tokens(database: &Path, query: &str) -> Result<BTreeSet<u64>> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(database, flags)?;
    connection.busy_timeout(std::time::Duration::from_secs(10))?;
    let tokens = connection
        .prepare(query)?
        .query_map([], |row| row.get::<_, i64>(0))?
        .collect::<rusqlite::Result<Vec<_>>>()?;
    Ok(tokens.into_iter().map(i64::unsigned_abs).collect())
}

/// Whether it is the process that watches over a job, and no part of the job.
fn is_supervisor(pid: i32) -> bool {
    let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    line.starts_with(b"pressluft\0supervise\0--parent\0")
}

/// When the process started, if it lives: a zombie does nothing any more.
fn start_of_living(pid: i32) -> Option<u64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_ascii_whitespace().collect();
    if matches!(fields.first(), Some(&"Z" | &"X")) {
        return None;
    }
    fields.get(19)?.parse().ok()
}
