//! What the caller hands over: one playbook, one host, the variables and the limits.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde_json::{Map, Value};

use super::known_hosts;
use crate::core::document::fleet::AnsibleEngine;

/// Where the engine keeps things and how it starts processes.
#[derive(Clone, Debug)]
pub struct Settings {
    pub state_dir: PathBuf,
    /// Where the logs of attempts go.
    pub log_dir: PathBuf,
    /// A virtual environment to use in place of the one that `doctor --fix` makes.
    pub venv: Option<PathBuf>,
    /// The `pressluft` program, started as `pressluft supervise`.
    pub supervisor: PathBuf,
    /// How long a stopped job may take to end before it is killed.
    pub grace: Duration,
}

impl Settings {
    /// The defaults for a state directory.
    #[must_use]
    pub fn new(state_dir: impl Into<PathBuf>) -> Self {
        let state_dir = state_dir.into();
        Self {
            log_dir: state_dir.join("logs"),
            state_dir,
            venv: None,
            // Also right after an upgrade has replaced the file that this process came from.
            supervisor: PathBuf::from("/proc/self/exe"),
            grace: Duration::from_secs(20),
        }
    }
}

/// One run of one playbook against one host.
///
/// It has no `Debug`: variables and keys are secret.
#[derive(Clone)]
#[expect(missing_debug_implementations, reason = "holds secrets")]
pub struct Invocation {
    /// The job's id and the number of the attempt, in the names of its directory and log.
    pub job: String,
    pub attempt: u32,
    pub playbook: Playbook,
    pub host: Host,
    /// The variable `pressluft`; `paths.tree` is filled in when there is a `tree`.
    pub vars: Map<String, Value>,
    /// The variable `pressluft_secrets`.
    pub secrets: Map<String, Value>,
    /// The file tree of the job as JSON.
    pub tree: Option<Vec<u8>>,
    /// Files of the control plane that the job sends to its node. It can read these and no others.
    pub files: Vec<PathBuf>,
    pub check: bool,
    pub diff: bool,
    /// 0 to 4, as many `-v`.
    pub verbosity: u8,
    pub timeout: Duration,
    /// Whether Ansible is loaded anew for this, or a process is used that has it loaded.
    pub engine: AnsibleEngine,
}

/// Which playbook runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Playbook {
    /// The name of one of ours, for example `site-create.yml`.
    Embedded(String),
    /// A file, for example a hook of the fleet repo.
    File(PathBuf),
}

/// How a node is reached.
#[derive(Clone)]
#[expect(missing_debug_implementations, reason = "holds a private key")]
pub struct Host {
    /// The node's name, which is its alias in the inventory.
    pub name: String,
    /// A host name or an IP address.
    pub address: String,
    pub port: u16,
    pub user: String,
    /// A private key in OpenSSH or PEM form; none means the control plane's own.
    pub key: Option<String>,
    /// The public key to insist on, `ssh-ed25519 AAAA…`; none means first contact.
    pub host_key: Option<String>,
}

/// A value of an invocation that could change the meaning of a command line or a file.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvocationError {
    #[error("`{0}` is no job id")]
    Job(String),
    #[error("`{0}` is no playbook name")]
    Playbook(String),
    #[error("`{0}` is no node name")]
    Name(String),
    #[error("`{0}` is no host name or address")]
    Address(String),
    #[error("`{0}` is no user name")]
    User(String),
    #[error("`{0}` is no host key; write `ssh-ed25519 AAAA…`")]
    HostKey(String),
    #[error("the key `{0}` of a variable is reserved by ansible")]
    ReservedKey(String),
}

impl Invocation {
    /// Refuses what documents never let through, because here it would reach command lines.
    pub(super) fn check(&self) -> Result<(), InvocationError> {
        let word = |text: &str, extra: &str| {
            !text.is_empty()
                && text.len() <= 255
                && !text.starts_with(['-', '.'])
                && text
                    .chars()
                    .all(|c| c.is_ascii_alphanumeric() || extra.contains(c))
        };
        let host = &self.host;
        if !word(&self.job, "-_") {
            return Err(InvocationError::Job(self.job.clone()));
        }
        if let Playbook::Embedded(name) = &self.playbook
            && !word(name, "-_.")
        {
            return Err(InvocationError::Playbook(name.clone()));
        }
        if !word(&host.name, "-_.") {
            return Err(InvocationError::Name(host.name.clone()));
        }
        let address = host.address.strip_prefix("::").unwrap_or(&host.address);
        if !word(address, "-_.:") {
            return Err(InvocationError::Address(host.address.clone()));
        }
        if !word(&host.user, "-_.") {
            return Err(InvocationError::User(host.user.clone()));
        }
        if let Some(key) = &host.host_key
            && known_hosts::HostKey::parse(key).is_none()
        {
            return Err(InvocationError::HostKey(key.clone()));
        }
        Ok(())
    }
}

/// Stops a running attempt from another thread.
#[derive(Clone, Debug, Default)]
pub struct Cancel(Arc<AtomicBool>);

impl Cancel {
    /// Asks the attempt to stop; it ends within the grace period.
    pub fn cancel(&self) {
        self.0.store(true, Ordering::SeqCst);
    }

    /// Whether stopping was asked for.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        self.0.load(Ordering::SeqCst)
    }
}
