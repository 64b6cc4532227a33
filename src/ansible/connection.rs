//! Warm SSH connections, one per node, held by this process and by nobody else.
//!
//! Ansible's own way (`ControlPersist`) leaves a process behind that nothing watches. Here
//! the connection is a supervised child: later jobs of the same node save the handshake,
//! and when Pressluft ends, however it ends, the connection ends too.

use std::collections::HashMap;
use std::ffi::OsString;
use std::fs::{self, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use super::invocation::{Cancel, Host};
use super::known_hosts::HostKey;
use super::private::{self, OwnedDir};
use super::relay;
use super::spawner::{Spawner, Supervised};
use super::ssh;
use crate::core::outcome::tail;

/// An unused connection is closed after this.
const IDLE: Duration = Duration::from_secs(60);

/// `ssh` gives up connecting after 10 s; name resolution and the handshake come on top.
const OPENING: Duration = Duration::from_secs(30);

/// Unix sockets have 108 bytes for their path, and `ssh` adds 17 while it makes one.
const LONGEST_SOCKET: usize = 108 - 17 - 1;

/// The connections of one engine.
#[derive(Debug)]
pub(super) struct Connections {
    dir: OwnedDir,
    next: AtomicU64,
    open: Mutex<HashMap<Identity, Arc<Connection>>>,
}

/// What two jobs must have in common to share a connection.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Identity(blake3::Hash);

impl Identity {
    /// The identity of a host reached with the private key in `key` and showing `host_key`.
    pub(super) fn new(host: &Host, key: &[u8], host_key: &HostKey) -> Self {
        let mut hasher = blake3::Hasher::new();
        let (port, host_key) = (host.port.to_string(), host_key.to_string());
        for part in [
            host.address.as_bytes(),
            port.as_bytes(),
            host.user.as_bytes(),
            key,
            host_key.as_bytes(),
        ] {
            hasher.update(&(part.len() as u64).to_le_bytes());
            hasher.update(part);
        }
        Self(hasher.finalize())
    }
}

/// What the names of our directories begin with.
const OWN: &str = "mux-";
/// What is in front of that where others have theirs, too.
const SHARED: &str = "pressluft-";

/// One connection, open or opening.
#[derive(Debug)]
pub(super) struct Connection {
    pub(super) socket: PathBuf,
    messages: PathBuf,
    process: Mutex<Supervised>,
    users: AtomicUsize,
    last_use: Mutex<Instant>,
}

/// Keeps a connection from being closed while a job uses it.
#[derive(Debug)]
pub(super) struct Lease(pub(super) Arc<Connection>);

impl Lease {
    fn new(connection: Arc<Connection>) -> Self {
        connection.users.fetch_add(1, Ordering::SeqCst);
        Self(connection)
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        *locked(&self.0.last_use) = Instant::now();
        self.0.users.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Connections {
    /// Prepares a directory for the sockets, in `ssh_dir` if its path is short enough, and in it
    /// the `ssh` that Ansible calls: `program` under another name.
    ///
    /// # Errors
    /// Those of the file system.
    pub(super) fn new(ssh_dir: &Path, program: &Path) -> io::Result<Self> {
        let mut name = format!("{OWN}{}-{:08x}", std::process::id(), rand::random::<u32>());
        let mut parent = ssh_dir.to_owned();
        if ssh_dir.as_os_str().len() + 1 + name.len() + "/18446744073709551615".len()
            > LONGEST_SOCKET
        {
            // Only our own user reads what is below: `OwnedDir` makes it new, with mode 0700.
            parent = PathBuf::from("/tmp");
            private::sweep_shared(&parent, &format!("{SHARED}{OWN}"));
            name.insert_str(0, SHARED);
        } else {
            private::sweep(ssh_dir)?;
        }
        let dir = OwnedDir::create(parent.join(name))?;
        std::os::unix::fs::symlink(program, dir.path().join(relay::NAME))?;
        Ok(Self {
            dir,
            next: AtomicU64::new(0),
            open: Mutex::new(HashMap::new()),
        })
    }

    /// The `ssh` that Ansible calls.
    pub(super) fn program(&self) -> PathBuf {
        self.dir.path().join(relay::NAME)
    }

    /// The living connection with this identity.
    pub(super) fn find(&self, identity: &Identity) -> Option<Lease> {
        let mut open = locked(&self.open);
        let stale: Vec<Identity> = open
            .iter()
            .filter(|(_, connection)| connection.is_over())
            .map(|(identity, _)| identity.clone())
            .collect();
        // Closed after the lock is free: that waits for the processes to end.
        let closed: Vec<_> = stale
            .iter()
            .filter_map(|identity| open.remove(identity))
            .collect();
        let found = open
            .get(identity)
            .map(|connection| Lease::new(Arc::clone(connection)));
        drop(open);
        drop(closed);
        found
    }

    /// Remembers a connection for later jobs.
    pub(super) fn keep(&self, identity: Identity, lease: &Lease) {
        locked(&self.open).insert(identity, Arc::clone(&lease.0));
    }

    /// Starts a connection. `files` names the key and known_hosts files.
    pub(super) fn open(
        &self,
        spawner: &Spawner,
        host: &Host,
        key: &Path,
        known_hosts: &Path,
        pinned: Option<&HostKey>,
    ) -> io::Result<Lease> {
        let number = self.next.fetch_add(1, Ordering::SeqCst);
        let socket = self.dir.path().join(number.to_string());
        let messages = self.dir.path().join(format!("{number}.messages"));
        let files = ssh::Files {
            key: key.to_owned(),
            known_hosts: known_hosts.to_owned(),
            socket: socket.clone(),
        };
        let words: Vec<OsString> = ssh::master(host, &files, pinned)
            .into_iter()
            .map(OsString::from)
            .collect();
        let mut command = spawner.command(&words, Duration::from_secs(2));
        // A file and not a pipe: nobody reads along while the connection is in use.
        let sink = OpenOptions::new()
            .append(true)
            .create_new(true)
            .mode(0o600)
            .open(&messages)?;
        command.stdout(Stdio::null()).stderr(sink);
        let process = spawner.spawn(command)?;
        Ok(Lease::new(Arc::new(Connection {
            socket,
            messages,
            process: Mutex::new(process),
            users: AtomicUsize::new(0),
            last_use: Mutex::new(Instant::now()),
        })))
    }
}

impl Connection {
    /// Waits until the connection is usable.
    ///
    /// # Errors
    /// What `ssh` said, when it gave up.
    pub(super) fn wait(&self, cancel: &Cancel) -> Result<(), String> {
        let deadline = Instant::now() + OPENING;
        loop {
            // Asked first: the socket of a connection that ended is gone.
            let status = locked(&self.process).status();
            match status {
                Ok(None) if self.socket.exists() => return Ok(()),
                Ok(None) => {}
                Ok(Some(_)) => return Err(self.said("the connection was closed")),
                Err(error) => return Err(error.to_string()),
            }
            if Instant::now() >= deadline || cancel.is_cancelled() {
                return Err(self.said("the connection timed out"));
            }
            thread::sleep(Duration::from_millis(3));
        }
    }

    fn said(&self, otherwise: &str) -> String {
        let bytes = fs::read(&self.messages).unwrap_or_default();
        match tail(reasons(&String::from_utf8_lossy(&bytes)).trim(), 4096) {
            "" => otherwise.to_owned(),
            text => text.to_owned(),
        }
    }

    /// Whether it has ended, or nobody has used it for a while.
    fn is_over(&self) -> bool {
        if self.users.load(Ordering::SeqCst) == 0 && locked(&self.last_use).elapsed() > IDLE {
            return true;
        }
        !matches!(locked(&self.process).status(), Ok(None))
    }
}

/// What `ssh` said, without that it has written down a host key: nothing failed by that.
fn reasons(said: &str) -> String {
    let reasons = said
        .lines()
        .filter(|line| !line.starts_with("Warning: Permanently added "));
    reasons.collect::<Vec<_>>().join("\n")
}

/// A panic of another thread leaves these values whole.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn enrolment_is_no_reason_of_a_failure() {
        let said = "Warning: Permanently added '192.0.2.1' (ED25519) to the list of known hosts.\r\n\
                    root@192.0.2.1: Permission denied (publickey).\r\n";
        assert_eq!(
            reasons(said),
            "root@192.0.2.1: Permission denied (publickey)."
        );
    }
}
