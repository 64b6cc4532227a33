//! The one place that makes a [`Command`], so that every child starts with a known environment.

use std::ffi::OsStr;
use std::process::Command;

/// A command that inherits nothing of the environment but what a child needs to find its
/// programs, its home and its locale.
///
/// A UTF-8 locale is always set: Ansible refuses to start without one.
#[must_use]
#[expect(
    clippy::disallowed_methods,
    reason = "this is the home of child processes"
)]
pub fn command(program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new(program);
    command.env_clear().env("LC_ALL", "C.UTF-8");
    for name in ["PATH", "HOME", "USER", "TMPDIR"] {
        if let Some(value) = std::env::var_os(name) {
            command.env(name, value);
        }
    }
    command
}
