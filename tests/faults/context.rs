//! What all cases share: the dose, the place for files, and this program's other selves.

use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};

use pressluft::process;

use crate::Result;

/// How much is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Dose {
    /// Seconds: with every `cargo test`.
    Small,
    /// Minutes: `make faults`.
    Large,
}

/// What a case gets.
pub(crate) struct Context {
    pub(crate) dose: Dose,
    pub(crate) seed: u64,
    /// Removed when the case is over.
    pub(crate) directory: PathBuf,
    /// Whether this is a PID namespace of our own, with all the rights of root.
    pub(crate) is_contained: bool,
}

impl Context {
    pub(crate) fn dosed(&self, small: u64, large: u64) -> u64 {
        match self.dose {
            Dose::Small => small,
            Dose::Large => large,
        }
    }

    /// A new empty directory.
    pub(crate) fn place(&self, name: impl std::fmt::Display) -> Result<PathBuf> {
        let path = self.directory.join(name.to_string());
        std::fs::create_dir_all(&path)?;
        Ok(path)
    }

    /// This program in another role.
    pub(crate) fn role(&self, role: &str) -> Result<Command> {
        let mut command = process::command(std::env::current_exe()?);
        command.arg(role).stdin(Stdio::null());
        Ok(command)
    }
}

/// Whether the process was ended by SIGKILL.
pub(crate) fn was_killed(status: ExitStatus) -> bool {
    status.signal() == Some(9)
}

/// How many whole lines the file has: what was acknowledged.
pub(crate) fn lines(path: &Path) -> Result<Vec<String>> {
    if !path.exists() {
        return Ok(Vec::new());
    }
    let text = std::fs::read_to_string(path)?;
    // The last piece is empty, or was cut off by a death.
    let mut lines: Vec<String> = text.split('\n').map(str::to_owned).collect();
    lines.pop();
    Ok(lines)
}
