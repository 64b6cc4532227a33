//! How `ssh` is called: always with the same options, whatever the user's own
//! configuration says; and the control plane's own key.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::invocation::Host;
use super::known_hosts::{self, HostKey};
use super::private;
use crate::core::plain_text;
use crate::process;

/// The control plane's own key could not be made or read.
#[derive(Debug, thiserror::Error)]
pub enum SshKeyError {
    #[error("cannot use `{path}`")]
    File { path: PathBuf, source: io::Error },
    #[error("cannot run `ssh-keygen`; install the OpenSSH client")]
    Start(#[source] io::Error),
    #[error("`ssh-keygen` failed: {0}")]
    Failed(String),
}

/// The path of the control plane's private key, which is made on first use.
///
/// # Errors
/// [`SshKeyError`] when it can be neither found nor made.
pub(super) fn private_key(state_dir: &Path) -> Result<PathBuf, SshKeyError> {
    let dir = state_dir.join("ssh");
    let key = dir.join("id_ed25519");
    if key.exists() && key.with_extension("pub").exists() {
        return Ok(key);
    }
    let file = |path: &Path| {
        let path = path.to_owned();
        move |source| SshKeyError::File { path, source }
    };
    private::make_dir(&dir).map_err(file(&dir))?;
    let lock_path = dir.join(".key.lock");
    let lock = fs::File::create(&lock_path).map_err(file(&lock_path))?;
    lock.lock().map_err(file(&lock_path))?;
    if key.exists() {
        return Ok(key);
    }
    let work = tempfile::Builder::new()
        .prefix(".key-")
        .tempdir_in(&dir)
        .map_err(file(&dir))?;
    let made = work.path().join("key");
    let output = process::command("ssh-keygen")
        .args(["-q", "-t", "ed25519", "-N", "", "-C", "pressluft", "-f"])
        .arg(&made)
        .output()
        .map_err(SshKeyError::Start)?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        return Err(SshKeyError::Failed(said));
    }
    // The public half first: the private one is what says that the pair is there.
    let public = key.with_extension("pub");
    fs::rename(made.with_extension("pub"), &public).map_err(file(&public))?;
    fs::rename(&made, &key).map_err(file(&key))?;
    Ok(key)
}

/// The public half of the control plane's own key, one line, made on first use.
///
/// # Errors
/// [`SshKeyError`] when it can be neither found nor made.
pub fn public_key(state_dir: &Path) -> Result<String, SshKeyError> {
    let path = private_key(state_dir)?.with_extension("pub");
    let text = fs::read_to_string(&path).map_err(|source| SshKeyError::File { path, source })?;
    Ok(plain_text::unmarked(&text).trim().to_owned())
}

/// The files of one connection.
#[derive(Clone, Debug)]
pub(super) struct Files {
    /// The host keys to accept, or where the first one is written.
    pub(super) known_hosts: PathBuf,
    /// The socket of the agent that has the key; none to learn a host key without logging in.
    pub(super) agent: Option<PathBuf>,
    /// The socket of the warm connection.
    pub(super) socket: PathBuf,
}

/// The options that every call has, in the order `ssh` wants them: the first one wins.
///
/// `pinned` is the only host key to accept; without one, the key that comes is written to
/// `known_hosts`, and nobody logs in.
fn options(files: &Files, pinned: Option<&HostKey>) -> Vec<String> {
    let mut words = vec!["-F".to_owned(), "none".to_owned()];
    let strict = if pinned.is_some() {
        "yes"
    } else {
        "accept-new"
    };
    let algorithms = pinned.map_or_else(known_hosts::acceptable_algorithms, |key| {
        key.algorithms().to_owned()
    });
    let agent = files.agent.as_deref();
    let settings = [
        ("StrictHostKeyChecking", strict),
        ("UserKnownHostsFile", &quoted(&files.known_hosts)),
        ("GlobalKnownHostsFile", "/dev/null"),
        ("HostKeyAlgorithms", &algorithms),
        ("UpdateHostKeys", "no"),
        ("CheckHostIP", "no"),
        ("HashKnownHosts", "no"),
        // Keys are in the agent alone.
        ("IdentityFile", "none"),
        (
            "IdentityAgent",
            &agent.map_or_else(|| "none".to_owned(), quoted),
        ),
        (
            "PreferredAuthentications",
            if agent.is_some() { "publickey" } else { "none" },
        ),
        ("BatchMode", "yes"),
        ("ForwardAgent", "no"),
        ("ClearAllForwardings", "yes"),
        ("ConnectTimeout", "10"),
        ("ServerAliveInterval", "5"),
        ("ServerAliveCountMax", "3"),
        ("ControlPath", &quoted(&files.socket)),
    ];
    for (name, value) in settings {
        words.extend(["-o".to_owned(), format!("{name}={value}")]);
    }
    words
}

/// The command that opens the warm connection and holds it; without a `pinned` key, one that only learns the key.
pub(super) fn master(host: &Host, files: &Files, pinned: Option<&HostKey>) -> Vec<String> {
    let mut words = vec!["ssh".to_owned()];
    words.extend(options(files, pinned));
    words.extend(["-o", "ControlMaster=yes", "-N", "-T"].map(str::to_owned));
    words.extend(destination(host));
    words
}

/// The command that runs `command` on the node: over the warm connection if it is there, by one of its own if not. It
/// never leaves one behind.
pub(super) fn client(host: &Host, files: &Files, pinned: &HostKey, command: &str) -> Vec<String> {
    let mut words = vec!["ssh".to_owned()];
    words.extend(options(files, Some(pinned)));
    words.extend(["-o", "ControlMaster=no", "-T"].map(str::to_owned));
    words.extend(destination(host));
    words.push(command.to_owned());
    words
}

fn destination(host: &Host) -> Vec<String> {
    let words = [
        "-p",
        &host.port.to_string(),
        "-l",
        &host.user,
        "--",
        &host.address,
    ];
    words.map(str::to_owned).to_vec()
}

/// A path as `ssh` options want it: quoted, and `%` doubled.
fn quoted(path: &Path) -> String {
    format!("\"{}\"", path.display().to_string().replace('%', "%%"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_own_key_is_made_once_even_by_many() {
        let state = tempfile::tempdir().expect("a directory");
        let keys: Vec<String> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..4)
                .map(|_| scope.spawn(|| public_key(state.path()).expect("a key")))
                .collect();
            threads
                .into_iter()
                .map(|thread| thread.join().expect("no panic"))
                .collect()
        });
        assert!(keys[0].starts_with("ssh-ed25519 ") && keys.iter().all(|key| *key == keys[0]));
    }
}
