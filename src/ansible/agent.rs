//! An SSH agent with the private key of one node, which signs for that node's host key and for no other.
//!
//! `ssh` talks with the node, and may be the one that falls. It never sees a key: it asks this agent, and the agent signs
//! only what the node's host key has signed before (destination constraints of OpenSSH). So the control plane's own key,
//! which opens every node, cannot be used by what runs for one of them.

use std::io::{self, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::Stdio;
use std::thread;
use std::time::{Duration, Instant};

use super::spawner::{Spawner, Supervised};
use crate::core::outcome::tail;
use crate::core::plain_text;
use crate::process;

/// The name by which the constraint finds the host key in the file that it is given.
pub(super) const CONSTRAINT: &str = "node";

/// An agent needs a few milliseconds to begin; on a machine under heavy load it may take many more.
const BEGINNING: Duration = Duration::from_secs(10);

/// Why there is no agent with the key.
#[derive(Debug, thiserror::Error)]
pub(super) enum AgentError {
    #[error("cannot run `{program}`; install the OpenSSH client: {source}")]
    Start {
        program: &'static str,
        source: io::Error,
    },
    #[error("`ssh-agent` did not begin")]
    Silent,
    #[error("Load key: {0}")]
    Key(String),
}

/// A running agent. Dropping it ends it, and with it the key in its memory.
#[derive(Debug)]
pub(super) struct Agent {
    _process: Supervised,
}

impl Agent {
    /// Starts an agent at `socket` with the private `key`, bound to the host key that `known_hosts` has for
    /// [`CONSTRAINT`].
    ///
    /// # Errors
    /// [`AgentError`] when the programs of OpenSSH are missing or do not take the key.
    pub(super) fn start(
        spawner: &Spawner,
        socket: &Path,
        key: &[u8],
        known_hosts: &Path,
    ) -> Result<Self, AgentError> {
        let start = |source| AgentError::Start {
            program: "ssh-agent",
            source,
        };
        let words = [
            "ssh-agent".as_ref(),
            "-D".as_ref(),
            "-a".as_ref(),
            socket.as_os_str(),
        ];
        let words = words.map(std::ffi::OsStr::to_owned);
        let mut command = spawner.command(&words, Duration::from_secs(2));
        command.stdout(Stdio::null()).stderr(Stdio::null());
        let mut agent = spawner.spawn(command).map_err(start)?;
        let deadline = Instant::now() + BEGINNING;
        // The socket is there before it listens.
        while UnixStream::connect(socket).is_err() {
            if Instant::now() >= deadline || agent.status().map_err(start)?.is_some() {
                return Err(AgentError::Silent);
            }
            thread::sleep(Duration::from_millis(2));
        }
        load(socket, key, known_hosts)?;
        Ok(Self { _process: agent })
    }
}

/// Hands the key over; it is in no file and in no list of arguments.
fn load(socket: &Path, key: &[u8], known_hosts: &Path) -> Result<(), AgentError> {
    let start = |source| AgentError::Start {
        program: "ssh-add",
        source,
    };
    let mut child = process::command("ssh-add")
        .env("SSH_AUTH_SOCK", socket)
        .args(["-q", "-h", CONSTRAINT, "-H"])
        .arg(known_hosts)
        .arg("-")
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(start)?;
    if let Some(mut input) = child.stdin.take()
        && let Err(error) = plain_text::pieces(key).try_for_each(|piece| input.write_all(piece))
    {
        tracing::debug!(%error, "`ssh-add` ended before it had read the key");
    }
    let output = child.wait_with_output().map_err(start)?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(AgentError::Key(tail(said.trim(), 1024).to_owned()))
}
