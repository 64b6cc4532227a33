//! Builds the library that stands between a process and its disk, and says what it does.

use std::path::{Path, PathBuf};
use std::process::Command;

use pressluft::process;

use crate::Result;

/// The number of "no space left on device".
pub(crate) const ENOSPC: i32 = 28;
/// The number of an input/output error.
pub(crate) const EIO: i32 = 5;

/// Compiles `shim.c` into `directory`.
pub(crate) fn build(directory: &Path) -> Result<PathBuf> {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/faults/shim.c");
    let library = directory.join("shim.so");
    let output = process::command("cc")
        .args(["-O1", "-Wall", "-Werror", "-shared", "-fPIC", "-o"])
        .arg(&library)
        .arg(source)
        .arg("-ldl")
        .output()?;
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into_owned().into());
    }
    Ok(library)
}

/// Which operations fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Write,
    Sync,
}

/// A disk that fails.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Failure {
    pub(crate) kind: Kind,
    pub(crate) errno: i32,
    /// The first operation that fails, from 1.
    pub(crate) at: u64,
    /// How many fail; none: all from there on.
    pub(crate) count: Option<u64>,
    /// Whether half of the first one is written.
    pub(crate) is_short: bool,
}

impl Failure {
    /// Makes the command's files below `prefix` fail.
    pub(crate) fn apply(self, command: &mut Command, library: &Path, prefix: &Path) {
        command
            .env("LD_PRELOAD", library)
            .env("SHIM_PREFIX", prefix)
            .env("SHIM_FAIL_AT", self.at.to_string())
            .env("SHIM_ERRNO", self.errno.to_string())
            .env(
                "SHIM_KIND",
                if self.kind == Kind::Write { "w" } else { "s" },
            )
            .env(
                "SHIM_FAIL_FOR",
                self.count
                    .map_or("-1".to_owned(), |count| count.to_string()),
            );
        if self.is_short {
            command.env("SHIM_SHORT", "1");
        }
    }
}

/// One operation on a file, as the library logged it.
#[derive(Clone, Debug)]
pub(crate) struct Operation {
    pub(crate) path: PathBuf,
    pub(crate) what: What,
}

#[derive(Clone, Debug)]
pub(crate) enum What {
    Write { offset: usize, bytes: Vec<u8> },
    Truncate(usize),
    Sync,
    Unlink,
    Rename(PathBuf),
}

/// Logs what the command does with its files below `prefix`.
pub(crate) fn log(command: &mut Command, library: &Path, prefix: &Path, log: &Path) {
    command
        .env("LD_PRELOAD", library)
        .env("SHIM_PREFIX", prefix)
        .env("SHIM_LOG", log);
}

/// Reads a log.
pub(crate) fn read_log(path: &Path) -> Result<Vec<Operation>> {
    let content = std::fs::read(path)?;
    let mut rest = content.as_slice();
    let mut operations = Vec::new();
    while !rest.is_empty() {
        let kind = take(&mut rest, 1)?[0];
        let length = usize::from(u16::from_le_bytes(take(&mut rest, 2)?.try_into()?));
        let path = PathBuf::from(std::str::from_utf8(take(&mut rest, length)?)?);
        let offset = usize::try_from(u64::from_le_bytes(take(&mut rest, 8)?.try_into()?))?;
        let length = usize::try_from(u64::from_le_bytes(take(&mut rest, 8)?.try_into()?))?;
        let what = match kind {
            b'w' => What::Write {
                offset,
                bytes: take(&mut rest, length)?.to_vec(),
            },
            b't' => What::Truncate(length),
            b's' => What::Sync,
            b'u' => What::Unlink,
            b'r' => What::Rename(PathBuf::from(std::str::from_utf8(take(
                &mut rest, length,
            )?)?)),
            other => return Err(format!("the log has the kind {other}").into()),
        };
        operations.push(Operation { path, what });
    }
    Ok(operations)
}

fn take<'a>(rest: &mut &'a [u8], length: usize) -> Result<&'a [u8]> {
    if rest.len() < length {
        return Err("the log ends within a record".into());
    }
    let (taken, left) = rest.split_at(length);
    *rest = left;
    Ok(taken)
}
