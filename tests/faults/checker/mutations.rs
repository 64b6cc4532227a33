//! Breaks each invariant on purpose. A checker that does not see it proves nothing.

use std::fs::OpenOptions;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::Child;

use pressluft::process;
use rusqlite::Connection;

use super::{database, processes, secrets};
use crate::Result;
use crate::reference::Reference;
use crate::report::Report;
use crate::roles::checkpoint;

/// What breaks which invariant. The database has jobs in every status.
const MUTATIONS: &[(&str, &str)] = &[
    (
        "I1",
        "DELETE FROM jobs WHERE id = (SELECT id FROM jobs WHERE status = 'queued' LIMIT 1)",
    ),
    (
        "I1",
        "CREATE TEMP TABLE gone AS SELECT plan_id FROM jobs WHERE status = 'queued' LIMIT 1;
         DELETE FROM jobs WHERE plan_id IN gone; DELETE FROM plans WHERE id IN gone",
    ),
    (
        "I1",
        "UPDATE audit SET action = 'secret_set' WHERE seq =
             (SELECT min(audit_seq) FROM plans WHERE audit_seq IN (SELECT seq FROM audit))",
    ),
    (
        "I1",
        "UPDATE jobs SET blocked_by = blocked_by + 1 WHERE status = 'queued'",
    ),
    (
        "I1",
        "UPDATE jobs SET status = 'failed', finished_at = 1, lease_expires_at = NULL WHERE id IN
             (SELECT depends_on FROM job_dependencies JOIN jobs ON jobs.id = job
              WHERE jobs.status = 'queued')",
    ),
    (
        "I2",
        "DROP INDEX jobs_node_lane; DROP INDEX jobs_site_lane;
         UPDATE jobs SET status = 'running', lease_expires_at = 1 WHERE node_id =
             (SELECT node_id FROM jobs WHERE status IN ('running', 'unknown'))",
    ),
    (
        "I2",
        "DROP INDEX jobs_node_lane; DROP INDEX jobs_site_lane;
         UPDATE jobs SET status = 'running', lease_expires_at = 1, node_id = 'other-' || sequence,
             site_id = 'acme' WHERE status IN ('queued', 'running')",
    ),
    (
        "I3",
        "UPDATE attempts SET outcome = NULL, finished_at = NULL WHERE job IN
             (SELECT id FROM jobs WHERE status = 'succeeded')",
    ),
    (
        "I3",
        "UPDATE attempts SET outcome = 'failed', finished_at = 1 WHERE outcome IS NULL",
    ),
    (
        "I3",
        "DELETE FROM attempts WHERE job IN (SELECT id FROM jobs WHERE status = 'succeeded')",
    ),
    (
        "I4",
        "INSERT INTO attempts (job, number, token, worker, started_at, finished_at, outcome)
             SELECT job, number + 1, -1, worker, 1, 2, 'succeeded' FROM attempts
             WHERE outcome = 'succeeded' ORDER BY token DESC LIMIT 1",
    ),
    (
        "I4",
        "UPDATE jobs SET status = 'failed' WHERE status = 'succeeded'",
    ),
    (
        "I4",
        "UPDATE jobs SET status = 'queued', finished_at = NULL WHERE status = 'cancelled'",
    ),
    (
        "I4",
        "UPDATE audit SET detail = '{}' WHERE seq = (SELECT min(seq) + 2 FROM audit)",
    ),
    (
        "I4",
        "DELETE FROM audit WHERE seq = (SELECT max(seq) FROM audit)",
    ),
    (
        "I4",
        "UPDATE resources SET spec_hash = zeroblob(32) WHERE id = 'node/web-1'",
    ),
    ("I4", "DELETE FROM resources WHERE id = 'node/web-1'"),
    ("I4", "DELETE FROM audit_segments"),
    (
        "I4",
        "UPDATE audit_segments SET hash = randomblob(32) WHERE first = 1",
    ),
    (
        "I4",
        "DELETE FROM audit WHERE seq = (SELECT min(seq) FROM audit)",
    ),
    (
        "I1",
        "UPDATE plans SET removed = removed + 1 WHERE audit_seq = (SELECT max(audit_seq) FROM plans)",
    ),
    (
        "I6",
        "UPDATE counters SET value = 1 WHERE name = 'fencing_token'",
    ),
    (
        "I6",
        "UPDATE jobs SET token = token + 1000 WHERE status IN ('running', 'unknown')",
    ),
    (
        "I7",
        "UPDATE job_payloads SET job = 'nobody' WHERE rowid = 1",
    ),
    (
        "I7",
        "PRAGMA writable_schema = ON;
         UPDATE sqlite_schema SET rootpage = (SELECT rootpage FROM sqlite_schema
             WHERE name = 'jobs_ready') WHERE name = 'jobs_by_plan'",
    ),
];

/// Each mutation on a copy of its own.
pub(crate) fn run(directory: &Path) -> Result<Report> {
    let mut report = Report::default();
    // The fixed part of a script ends with jobs in all statuses.
    let reference = Reference::make(3, 0, &directory.join("checker"))?;
    let steps = reference.script.steps.len();
    let untouched = reference.copy(steps, &directory.join("untouched"))?;
    report.run(database(&untouched));
    for (n, (invariant, sql)) in MUTATIONS.iter().enumerate() {
        let path = reference.copy(steps, &directory.join(format!("mutation-{n}")))?;
        mutate(&path, sql)?;
        report.run(missed(invariant, sql, &database(&path)));
    }
    let path = reference.copy(steps, &directory.join("bytes"))?;
    // So that no page is read from the log.
    checkpoint(&path, 1);
    let file = OpenOptions::new().write(true).open(&path)?;
    file.write_all_at(&[0xa5; 4096], 3 * 4096)?;
    report.run(missed("I7", "garbage in a page", &database(&path)));
    process_without_lease(&untouched, &mut report)?;
    secret_in_sight(directory, &mut report)?;
    Ok(report)
}

/// Writes past everything that would refuse it.
fn mutate(path: &Path, sql: &str) -> Result<()> {
    let connection = Connection::open(path)?;
    connection.execute_batch(
        "PRAGMA foreign_keys = OFF; PRAGMA ignore_check_constraints = ON;
         DROP TRIGGER attempts_end_once; DROP TRIGGER audit_keeps_its_entries;
         DROP TRIGGER audit_never_changes; DROP INDEX attempts_open;",
    )?;
    connection
        .execute_batch(sql)
        .map_err(|error| format!("{sql}: {error}"))?;
    Ok(())
}

fn missed(invariant: &str, what: &str, found: &[String]) -> Vec<String> {
    if found
        .iter()
        .any(|violation| violation.starts_with(invariant))
    {
        Vec::new()
    } else {
        vec![format!(
            "the checker misses a broken {invariant}: {what}; it says {found:?}"
        )]
    }
}

fn process_without_lease(database: &Path, report: &mut Report) -> Result<()> {
    let connection = Connection::open(database)?;
    let held: i64 = connection.query_row(
        "SELECT token FROM attempts WHERE outcome IS NULL",
        [],
        |row| row.get(0),
    )?;
    for (token, is_held) in [(held, true), (held + 1000, false)] {
        let run = format!("checker-{}", std::process::id());
        // It hides in a session of its own.
        let mut child = Ended(
            process::command("setsid")
                .args(["sleep", "60"])
                .env(processes::MARK, format!("{run}:{token}"))
                .spawn()?,
        );
        let found = processes::without_lease(database, &run)?;
        report.run(match (is_held, found.as_slice()) {
            (true, []) | (false, [_]) => Vec::new(),
            _ => vec![format!(
                "the checker misjudges a process with a lease ({is_held}): {found:?}"
            )],
        });
        child.0.kill()?;
    }
    Ok(())
}

/// A child that does not outlive the test.
struct Ended(Child);

impl Drop for Ended {
    fn drop(&mut self) {
        // It has ended already unless the test failed.
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

fn secret_in_sight(directory: &Path, report: &mut Report) -> Result<()> {
    let place = directory.join("leaks");
    std::fs::create_dir_all(&place)?;
    let canary = format!("canary-{}", blake3::hash(b"canary").to_hex());
    let judge = |what: &str, found: &[String]| {
        let wanted = usize::from(what != "nowhere");
        if found.len() >= wanted && (wanted > 0 || found.is_empty()) {
            Vec::new()
        } else {
            vec![format!(
                "the checker misjudges a secret in {what}: {found:?}"
            )]
        }
    };
    report.run(judge("nowhere", &secrets::leaks(&[&canary], &place)?));
    let connection = Connection::open(place.join("state.db"))?;
    connection.execute_batch("PRAGMA journal_mode = WAL; CREATE TABLE t (x)")?;
    connection.execute("INSERT INTO t VALUES (?1)", [&canary])?;
    report.run(judge(
        "the write-ahead log",
        &secrets::leaks(&[&canary], &place)?,
    ));
    drop(connection);
    report.run(judge("the database", &secrets::leaks(&[&canary], &place)?));
    std::fs::remove_file(place.join("state.db"))?;
    let mut shown = Ended(
        process::command("sleep")
            .args(["60"])
            .env("X", &canary)
            .spawn()?,
    );
    report.run(judge(
        "an environment",
        &secrets::leaks(&[&canary], &place)?,
    ));
    shown.0.kill()?;
    shown.0.wait()?;
    let script = format!("sleep 60 # {canary}");
    let mut shown = Ended(process::command("sh").args(["-c", &script]).spawn()?);
    report.run(judge("an argument", &secrets::leaks(&[&canary], &place)?));
    shown.0.kill()?;
    shown.0.wait()?;
    Ok(())
}
