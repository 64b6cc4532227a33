//! `kill -9` in the middle of a backup or a restore: there is the old database or the new one,
//! whole, and the next try succeeds.

use std::path::Path;

use jiff::{SignedDuration, Timestamp};
use pressluft::store::{Exclusive, Store};

use crate::Result;
use crate::context::Context;
use crate::report::Report;
use crate::roles::{Arguments, arm};

/// `--database PATH --file PATH --crash LABEL --hit N [--backup]`
pub(crate) fn role(arguments: &Arguments) -> Result<u8> {
    let (database, file) = (arguments.path("database")?, arguments.path("file")?);
    if arguments.has("backup") {
        let store = Store::open_read_only(&database)?;
        arm(arguments)?;
        store.backup(&file, true)?;
    } else {
        arm(arguments)?;
        // The jobs of a script are held by nobody that could be asked.
        Exclusive::take(&database)?.replace_with(&file, "ops", later()?)?;
    }
    Ok(0)
}

/// Long after everything that a script does.
fn later() -> Result<Timestamp> {
    Ok("2027-02-22T12:00:00Z".parse::<Timestamp>()?)
}

/// Whether the crash point belongs to this case.
#[cfg(feature = "crash-points")]
pub(crate) fn is_of(label: &str) -> bool {
    label.starts_with("restore: ") || label.starts_with("backup: ")
}

#[cfg(not(feature = "crash-points"))]
pub(crate) fn run(_context: &Context) -> Result<Report> {
    let mut report = Report::default();
    report.note("not compiled in: --features crash-points");
    Ok(report)
}

#[cfg(feature = "crash-points")]
pub(crate) fn run(context: &Context) -> Result<Report> {
    use crate::context::was_killed;
    use crate::random::Random;
    use crate::reference::Reference;

    let mut report = Report::default();
    let reference = Reference::make(context.seed, 60, &context.directory)?;
    let mut random = Random::new(context.seed);
    let labels: Vec<String> = super::crash_points::labels()?
        .into_iter()
        .filter(|label| is_of(label))
        .collect();
    for (number, label) in labels.iter().enumerate() {
        for turn in 0..context.dosed(2, 40) {
            let directory = context.place(format!("restore-{number}-{turn}"))?;
            // The backup is of an earlier moment than the database.
            let last = reference.script.steps.len();
            let then = 2 + random.index(last - 2);
            let old = reference.copy(then, &directory.join("then"))?;
            let now = then + random.index(last - then + 1);
            let database = reference.copy(now, &directory.join("now"))?;
            let file = directory.join("backup.db");
            Store::open(&old)?.backup(&file, false)?;
            let is_backup = label.starts_with("backup: ");
            let mut command = context.role("restoring")?;
            command.arg("--database").arg(&database);
            command.arg("--file").arg(&file);
            command.args(["--crash", label, "--hit", "1"]);
            if is_backup {
                command.arg("--backup");
            }
            let output = command.output()?;
            let mut broken = Vec::new();
            if !was_killed(output.status) {
                broken.push(format!(
                    "nothing reaches the crash point `{label}`: {}: {}",
                    output.status,
                    String::from_utf8_lossy(&output.stderr)
                ));
            }
            broken.extend(judge(&database, &file, &reference.digests[now], is_backup)?);
            report.run(
                broken
                    .into_iter()
                    .map(|line| format!("`{label}` from {then} to {now}: {line}"))
                    .collect(),
            );
            std::fs::remove_dir_all(&directory)?;
        }
    }
    Ok(report)
}

/// What is wrong after a death.
#[cfg_attr(not(feature = "crash-points"), expect(dead_code))]
fn judge(database: &Path, file: &Path, before: &str, is_backup: bool) -> Result<Vec<String>> {
    let mut broken = crate::checker::database(database);
    let is_old = crate::digest::digest(database)? == before;
    let paused = Store::open(database)?.pause()?;
    if is_backup && !is_old {
        broken.push("a backup changed the database".to_owned());
    }
    if is_old == paused.is_some() {
        broken.push("it is neither the old database nor the restored one".to_owned());
    }
    // The next try goes through, whatever was left behind.
    if is_backup {
        let store = Store::open(database)?;
        store.backup(file, true)?;
    } else {
        let now = later()? + SignedDuration::from_secs(1);
        let restored = Exclusive::take(database)?.replace_with(file, "ops", now)?;
        let store = Store::open(database)?;
        if store.pause()?.is_none() {
            broken.push("the next restore did not pause".to_owned());
        }
        let verified = store.verify_audit(None)?;
        if verified.noted != Some(restored.head) {
            broken.push("the noted head is another one than the restored".to_owned());
        }
        let left = std::fs::read_dir(database.with_file_name(""))?
            .filter_map(|entry| Some(entry.ok()?.file_name().to_string_lossy().into_owned()))
            .any(|name| name.starts_with(".pressluft-restore-"));
        if left {
            broken.push("what the dead restore made is still there".to_owned());
        }
    }
    broken.extend(crate::checker::database(database));
    Ok(broken)
}
