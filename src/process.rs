//! Processes: the one place that makes a [`Command`], so that every child starts with a known
//! environment, and what tells a process from a later one with its number.

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::path::PathBuf;
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

/// A command without any environment, for a process that needs none.
#[must_use]
#[expect(
    clippy::disallowed_methods,
    reason = "this is the home of child processes"
)]
pub fn bare(program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new(program);
    command.env_clear();
    command
}

/// A [`command`] that also gets what installers need to reach a package registry: pip's own
/// settings, proxies and certificate authorities.
#[must_use]
pub fn installer(program: impl AsRef<OsStr>) -> Command {
    let mut command = command(program);
    for (name, value) in std::env::vars_os() {
        let upper = name.to_string_lossy().to_ascii_uppercase();
        let wanted = upper.starts_with("PIP_")
            || upper.ends_with("_PROXY")
            || matches!(
                upper.as_str(),
                "SSL_CERT_FILE" | "SSL_CERT_DIR" | "REQUESTS_CA_BUNDLE" | "CURL_CA_BUNDLE"
            );
        if wanted {
            command.env(name, value);
        }
    }
    command
}

/// A command with the environment of this process as it is, for a process whose environment
/// was already chosen by [`command`].
#[must_use]
#[expect(
    clippy::disallowed_methods,
    reason = "this is the home of child processes"
)]
pub fn inherited(program: impl AsRef<OsStr>) -> Command {
    Command::new(program)
}

/// Where a program of this name is, as [`command`] would find it.
#[must_use]
#[expect(
    clippy::disallowed_methods,
    reason = "this is the home of child processes"
)]
pub fn find(program: &str) -> Option<PathBuf> {
    let paths = std::env::var_os("PATH")?;
    std::env::split_paths(&paths)
        .map(|path| path.join(program))
        .find(|path| path.is_file())
}

/// The start time of a process in clock ticks since boot, or none when there is none or only its
/// exit status is left.
///
/// # Errors
/// When `/proc` cannot be read.
pub fn start_of(pid: i32) -> io::Result<Option<u64>> {
    let text = match fs::read_to_string(format!("/proc/{pid}/stat")) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        // The process ended between opening and reading.
        Err(error) if error.raw_os_error() == Some(nix::libc::ESRCH) => return Ok(None),
        Err(error) => return Err(error),
    };
    // The name is in parentheses and may hold anything, so count from its end.
    let fields: Vec<&str> = text
        .rsplit_once(')')
        .map_or("", |(_, rest)| rest)
        .split_ascii_whitespace()
        .collect();
    if matches!(fields.first(), Some(&"Z" | &"X")) {
        return Ok(None);
    }
    Ok(fields.get(19).and_then(|start| start.parse().ok()))
}
