//! `kill -9` while the past is cleared up: whatever was done is done wholly, the audit chain holds
//! through segments and database, and the next process goes on to the same end.

use std::path::Path;

use jiff::{SignedDuration, Timestamp};
use pressluft::daemon::{Cleared, HistorySettings, Pace, clear_up};
use pressluft::store::Store;

use crate::Result;
use crate::context::Context;
use crate::report::Report;
use crate::roles::{Arguments, arm};

/// `--database PATH --crash LABEL --hit N`
pub(crate) fn role(arguments: &Arguments) -> Result<u8> {
    let database = arguments.path("database")?;
    arm(arguments)?;
    clear(&database)?;
    Ok(0)
}

/// Clears up all that can go, long after everything that a script does.
fn clear(database: &Path) -> Result<Option<Cleared>> {
    let mut store = Store::open(database)?;
    let directory = database.parent().ok_or("a database without a directory")?;
    let settings = HistorySettings {
        policy: crate::past::policy(),
        log_dir: directory.join("logs"),
        state_dir: directory.to_owned(),
    };
    let mut now: Timestamp = "2029-02-22T12:00:00Z".parse()?;
    let mut last = None;
    // Parts go in the second round.
    for _ in 0..3 {
        let pace = (Pace::Brisk, true);
        last = clear_up(&mut store, &settings, pace, "ops", &|| true, now)?;
        now += SignedDuration::from_hours(48);
    }
    Ok(last)
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
    let reference = Reference::make(context.seed, 200, &context.directory)?;
    let steps = reference.script.steps.len();
    let mut random = Random::new(context.seed);
    let mut labels: Vec<String> = super::crash_points::labels()?
        .into_iter()
        .filter(|label| label.starts_with("history: ") || label.starts_with("segment: "))
        .collect();
    labels.push("write: ready".to_owned());
    labels.push("write: committed".to_owned());
    let mut killed = 0;
    for turn in 0..context.dosed(40, 2_000) {
        let directory = context.place(format!("clearing-{turn}"))?;
        let database = reference.copy(steps, &directory)?;
        let label = &labels[random.index(labels.len())];
        let hit = 1 + random.below(12);
        let output = context
            .role("clearing")?
            .arg("--database")
            .arg(&database)
            .args(["--crash", label, "--hit", &hit.to_string()])
            .output()?;
        // It may come to its end before.
        killed += u64::from(was_killed(output.status));
        let mut broken = Vec::new();
        if !was_killed(output.status) && !output.status.success() {
            broken.push(String::from_utf8_lossy(&output.stderr).into_owned());
        }
        broken.extend(crate::checker::database(&database));
        match clear(&database) {
            Ok(Some(cleared)) if cleared.is_complete => {}
            other => broken.push(format!("the next one does not come to its end: {other:?}")),
        }
        broken.extend(crate::checker::database(&database));
        let drafts = std::fs::read_dir(directory.join("state.db.audit"))?
            .filter_map(|entry| Some(entry.ok()?.file_name().to_string_lossy().into_owned()))
            .filter(|name| name.starts_with('.'))
            .count();
        if drafts > 0 {
            broken.push("what the dead one had begun to write is still there".to_owned());
        }
        report.run(
            broken
                .into_iter()
                .map(|line| format!("`{label}` {hit}: {line}"))
                .collect(),
        );
        std::fs::remove_dir_all(&directory)?;
    }
    report.note(format!("{killed} were killed"));
    Ok(report)
}
