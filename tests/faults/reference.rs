//! An undisturbed run of a script: what the database says after each step.

use std::fs;
use std::path::{Path, PathBuf};

use crate::Result;
use crate::digest::digest;
use crate::roles::checkpoint;
use crate::script::{Script, Session};

/// All that makes a database, but for the index of the log, which is made anew.
const FILES: [&str; 3] = ["state.db", "state.db-wal", "state.db.audit-head"];

/// The directory of the closed segments of the audit chain.
const SEGMENTS: &str = "state.db.audit";

/// What an undisturbed run leaves.
pub(crate) struct Reference {
    pub(crate) script: Script,
    /// At index `n`: after the first `n` steps.
    pub(crate) digests: Vec<String>,
    /// For each step which crash points it reached, and how often.
    #[cfg(feature = "crash-points")]
    pub(crate) reached: Vec<std::collections::BTreeMap<&'static str, u64>>,
    directory: PathBuf,
}

impl Reference {
    /// Runs the script of `seed` below `directory`, and keeps a copy of the database at each
    /// step.
    pub(crate) fn make(seed: u64, random: usize, directory: &Path) -> Result<Self> {
        let script = Script::new(seed, random);
        let directory = directory.join(format!("reference-{seed}"));
        let live = directory.join("live");
        fs::create_dir_all(&live)?;
        let path = live.join("state.db");
        let mut session = Session::new(&path);
        let mut digests = vec![digest(&path)?];
        #[cfg(feature = "crash-points")]
        let mut reached = Vec::new();
        for index in 0..script.steps.len() {
            #[cfg(feature = "crash-points")]
            let before = pressluft::crash_point::hits();
            script
                .run(&mut session, index)
                .map_err(|error| format!("step {index} {:?}: {error}", script.steps[index]))?;
            #[cfg(feature = "crash-points")]
            reached.push(difference(&before));
            if index % 8 == 7 {
                checkpoint(&path, index);
            }
            digests.push(digest(&path)?);
            snapshot(&path, &directory.join((index + 1).to_string()))?;
        }
        Ok(Self {
            script,
            digests,
            #[cfg(feature = "crash-points")]
            reached,
            directory,
        })
    }

    /// A copy below `target` of the database as it was after the first `steps` steps.
    pub(crate) fn copy(&self, steps: usize, target: &Path) -> Result<PathBuf> {
        fs::create_dir_all(target)?;
        let path = target.join("state.db");
        if steps > 0 {
            let source = self.directory.join(steps.to_string());
            for name in FILES {
                if source.join(name).exists() {
                    fs::copy(source.join(name), target.join(name))?;
                }
            }
            copy_segments(&source, target)?;
        }
        Ok(path)
    }
}

/// Copies the database with what is still in its write-ahead log, and its noted head. Nobody
/// writes at this moment.
fn snapshot(path: &Path, target: &Path) -> Result<()> {
    fs::create_dir_all(target)?;
    for name in FILES {
        let source = path.with_file_name(name);
        if source.exists() {
            fs::copy(source, target.join(name))?;
        }
    }
    copy_segments(path.parent().ok_or("a path without a parent")?, target)
}

/// Copies the closed segments of the audit chain, if there are some.
fn copy_segments(source: &Path, target: &Path) -> Result<()> {
    let (source, target) = (source.join(SEGMENTS), target.join(SEGMENTS));
    if !source.exists() {
        return Ok(());
    }
    fs::create_dir_all(&target)?;
    for entry in fs::read_dir(source)? {
        let entry = entry?;
        fs::copy(entry.path(), target.join(entry.file_name()))?;
    }
    Ok(())
}

#[cfg(feature = "crash-points")]
fn difference(
    before: &std::collections::BTreeMap<&'static str, u64>,
) -> std::collections::BTreeMap<&'static str, u64> {
    pressluft::crash_point::hits()
        .into_iter()
        .map(|(label, count)| (label, count - before.get(label).copied().unwrap_or(0)))
        .filter(|(_, count)| *count > 0)
        .collect()
}
