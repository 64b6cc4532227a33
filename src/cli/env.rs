//! The environment of the process, where it says something.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

#[expect(
    clippy::disallowed_methods,
    reason = "the command line reads the environment"
)]
pub(super) fn env_path(name: &str) -> Option<PathBuf> {
    let value = std::env::var_os(name)?;
    let value = value
        .as_bytes()
        .strip_suffix(b"\r")
        .unwrap_or(value.as_bytes());
    (!value.is_empty()).then(|| PathBuf::from(OsStr::from_bytes(value)))
}

#[expect(
    clippy::disallowed_methods,
    reason = "the command line reads the environment"
)]
pub(super) fn env_text(name: &str) -> Option<String> {
    // A file of variables that another system wrote leaves it at the end of each.
    let value = std::env::var(name).ok()?;
    let value = value.strip_suffix('\r').unwrap_or(&value);
    (!value.is_empty()).then(|| value.to_owned())
}
