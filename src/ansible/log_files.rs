//! The end of what is kept as files: logs, and what attempts left whose process is dead.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use jiff::Timestamp;

use super::private;

/// Removes logs of attempts that were written before `before`, or are not among the newest
/// `count`; none that was written after `grace`. How many.
///
/// # Errors
/// When the directory cannot be read. A file that cannot be removed is left.
pub fn remove_logs(
    directory: &Path,
    before: Timestamp,
    grace: Timestamp,
    count: u64,
) -> io::Result<u64> {
    let entries = match fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(0),
        Err(error) => return Err(error),
    };
    let mut logs: Vec<(Timestamp, PathBuf)> = Vec::new();
    for entry in entries {
        let entry = entry?;
        let metadata = entry.metadata()?;
        if metadata.is_file() && is_log(&entry.file_name().to_string_lossy()) {
            let written = Timestamp::try_from(metadata.modified()?).map_err(io::Error::other)?;
            logs.push((written, entry.path()));
        }
    }
    logs.sort();
    let excess = logs
        .len()
        .saturating_sub(usize::try_from(count).unwrap_or(usize::MAX));
    let mut removed = 0;
    for (index, (written, path)) in logs.iter().enumerate() {
        if *written < grace && (*written < before || index < excess) {
            match fs::remove_file(path) {
                Ok(()) => removed += 1,
                Err(error) => tracing::warn!(path = %path.display(), %error, "left"),
            }
        }
    }
    Ok(removed)
}

/// Whether a file has the name of a log: the id of a job, the number of an attempt, a playbook.
fn is_log(name: &str) -> bool {
    const UUID: usize = 36;
    let Some((id, rest)) = name.split_at_checked(UUID) else {
        return false;
    };
    id.parse::<uuid::Uuid>().is_ok() && rest.starts_with('-') && rest.ends_with(".log")
}

/// Removes the directories of attempts whose process is dead; how many.
///
/// # Errors
/// When they cannot be read or removed.
pub fn sweep_attempts(state_dir: &Path) -> io::Result<usize> {
    private::sweep(&state_dir.join("run"))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn old_logs_go_and_nothing_else() {
        let directory = tempfile::tempdir().expect("directory");
        let now: Timestamp = "2026-02-22T12:00:00Z".parse().expect("a time");
        let job = |n: u32| format!("01900000-0000-7000-8000-{n:012}-1-env-configure.log");
        let ages = [40, 20, 10, 1, 0];
        let names: Vec<String> = (1..).map(job).take(ages.len()).collect();
        for (name, days) in names.iter().zip(ages) {
            let file = fs::File::create(directory.path().join(name)).expect("made");
            let age = Duration::from_secs(days * 86_400 + 60);
            file.set_modified((now - jiff::SignedDuration::try_from(age).expect("a span")).into())
                .expect("aged");
        }
        let other = directory.path().join("notes-of-mine.log");
        let file = fs::File::create(&other).expect("made");
        file.set_modified(Timestamp::UNIX_EPOCH.into())
            .expect("aged");
        let before = now - jiff::SignedDuration::from_hours(30 * 24);
        let grace = now - jiff::SignedDuration::from_hours(1);
        let left = || -> Vec<bool> {
            let there = |name: &String| directory.path().join(name).exists();
            names.iter().map(there).collect()
        };
        let removed = |count| remove_logs(directory.path(), before, grace, count).expect("removed");
        assert_eq!(removed(100), 1);
        assert_eq!(left(), [false, true, true, true, true]);
        assert_eq!(removed(2), 2);
        assert_eq!(left(), [false, false, false, true, true]);
        // The newest may be of a job that runs.
        assert_eq!(removed(0), 1);
        assert_eq!(left(), [false, false, false, false, true]);
        assert!(other.exists());
        let missing = directory.path().join("missing");
        assert_eq!(remove_logs(&missing, before, grace, 0).expect("none"), 0);
    }
}
