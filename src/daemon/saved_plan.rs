//! A plan in a file: what `plan --out` writes and `apply FILE` reads.

use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::error::DaemonError;
use super::queue::Prepared;

/// The form of the file. Another form is refused rather than guessed at.
const FORMAT: &str = "pressluft-plan-2";

/// The largest file that is read.
const LIMIT: u64 = 256 * 1024 * 1024;

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct SavedPlan {
    format: String,
    /// Of `prepared`; a file that was edited is refused.
    digest: String,
    prepared: Prepared,
}

/// Writes the plan to `path`, readable for its owner only.
///
/// # Errors
/// When the file cannot be written.
pub fn save(path: &Path, prepared: &Prepared) -> Result<(), DaemonError> {
    let saved = SavedPlan {
        format: FORMAT.to_owned(),
        digest: prepared.digest()?,
        prepared: prepared.clone(),
    };
    let text = serde_json::to_vec_pretty(&saved)?;
    let write = || -> std::io::Result<()> {
        let mut file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(path)?;
        file.write_all(&text)?;
        file.sync_all()
    };
    write().map_err(|source| DaemonError::Write {
        path: path.display().to_string(),
        source,
    })
}

/// Reads a plan back.
///
/// # Errors
/// [`DaemonError::SavedPlan`] when the file is no saved plan of this version, or was changed.
pub fn load(path: &Path) -> Result<Prepared, DaemonError> {
    let refuse = |why: &str| DaemonError::SavedPlan {
        path: path.display().to_string(),
        why: why.to_owned(),
    };
    let mut text = Vec::new();
    File::open(path)
        .and_then(|file| file.take(LIMIT + 1).read_to_end(&mut text))
        .map_err(|error| refuse(&error.to_string()))?;
    if text.len() as u64 > LIMIT {
        return Err(refuse("it is too large"));
    }
    let saved: SavedPlan = serde_json::from_slice(&text)
        .map_err(|error| refuse(&format!("it is no saved plan of this version ({error})")))?;
    if saved.format != FORMAT {
        return Err(refuse(&format!(
            "its format is `{}`, not `{FORMAT}`",
            saved.format
        )));
    }
    if saved.prepared.digest()? != saved.digest || !saved.prepared.parts.are_intact() {
        return Err(refuse("it was changed after it was written"));
    }
    Ok(saved.prepared)
}
