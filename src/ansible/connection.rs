//! Warm SSH connections, one per node, held by this process and by nobody else.
//!
//! Ansible's own way (`ControlPersist`) leaves a process behind that nothing watches. Here
//! the connection is a supervised child: later jobs of the same node save the handshake,
//! and when Pressluft ends, however it ends, the connection ends too.

use std::collections::HashMap;
use std::ffi::OsString;
use std::fs::{self, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use super::agent::{self, Agent, AgentError};
use super::confine::Reach;
use super::invocation::{Cancel, Host};
use super::known_hosts::HostKey;
use super::private::{self, OwnedDir};
use super::spawner::{Spawner, Supervised};
use super::ssh::{self, Files};
use crate::core::outcome::tail;
use crate::process;

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

/// How long the file is that an `ssh` writes, which may hold words of its node: no more is written, and none is read.
const LONGEST_READ: u64 = 64 * 1024;

/// One connection, open or opening.
#[derive(Debug)]
pub(super) struct Connection {
    // Closed before the agent that it logs in with.
    process: Mutex<Supervised>,
    _agent: Agent,
    place: Place,
    host_key: HostKey,
    users: AtomicUsize,
    last_use: Mutex<Instant>,
}

/// The directory of one connection. Its name cannot be guessed: who runs as our user, but confined to another
/// directory, finds no socket of ours.
#[derive(Debug)]
struct Place {
    path: PathBuf,
    files: Files,
    messages: PathBuf,
}

impl Place {
    fn new(parent: &Path) -> io::Result<Self> {
        let path = parent.join(format!("{:016x}", rand::random::<u64>()));
        private::make_new_dir(&path)?;
        let files = Files {
            known_hosts: path.join("h"),
            agent: None,
            socket: path.join("s"),
        };
        Ok(Self {
            messages: path.join("m"),
            path,
            files,
        })
    }

    /// The command that runs `ssh` with what it needs for this host and nothing else.
    fn confined(&self, mut command: Command, host: &Host) -> io::Result<Command> {
        let mut reach = Reach::system_programs();
        // It may be somewhere else than what comes with the system.
        if let Some(ssh) = process::find("ssh") {
            reach.read.push(ssh.clone());
            reach.execute.push(ssh);
        }
        reach.write.push(self.path.clone());
        // Where names are looked up, if it is there.
        reach
            .sockets
            .extend(["/run/systemd/resolve", "/run/nscd"].map(PathBuf::from));
        reach.read.push("/run/systemd/resolve".into());
        reach.ports.extend([host.port, 53]);
        Spawner::confine(&mut command, &reach)?;
        Ok(command)
    }

    /// Starts the `ssh` that holds a connection, its messages in a file and not in a pipe: nobody reads along while the
    /// connection is in use.
    fn start(
        &self,
        spawner: &Spawner,
        host: &Host,
        pinned: Option<&HostKey>,
    ) -> io::Result<Supervised> {
        // Whoever answers may greet for ever. The shell counts in blocks of 512 bytes.
        let bounded = format!("ulimit -f {} && exec \"$0\" \"$@\"", LONGEST_READ / 512);
        let mut words = ["sh", "-c", &bounded].map(OsString::from).to_vec();
        words.extend(os_words(ssh::master(host, &self.files, pinned)));
        let command = spawner.command(&words, Duration::from_secs(2));
        let mut command = self.confined(command, host)?;
        let sink = OpenOptions::new()
            .append(true)
            .create_new(true)
            .mode(0o600)
            .open(&self.messages)?;
        command.stdout(Stdio::null()).stderr(sink);
        spawner.spawn(command)
    }

    fn said(&self, otherwise: &str) -> String {
        let bytes = read(&self.messages);
        if bytes.len() as u64 >= LONGEST_READ {
            return format!(
                "the SSH server says more than {} KiB before anybody is logged in; shorten its `Banner`, or look at who \
                 answers there",
                LONGEST_READ >> 10
            );
        }
        match tail(reasons(&String::from_utf8_lossy(&bytes)).trim(), 4096) {
            "" => otherwise.to_owned(),
            text => text.to_owned(),
        }
    }
}

/// The beginning of a file that `ssh` has written. It is in a directory that `ssh` can change, so it may have become
/// anything: what is no plain file is empty.
fn read(path: &Path) -> Vec<u8> {
    let mut bytes = Vec::new();
    let flags = nix::libc::O_NOFOLLOW | nix::libc::O_NONBLOCK;
    let file = OpenOptions::new().read(true).custom_flags(flags).open(path);
    let read = file.and_then(|file| match file.metadata()?.is_file() {
        true => file.take(LONGEST_READ).read_to_end(&mut bytes),
        false => Err(io::ErrorKind::InvalidData.into()),
    });
    if let Err(error) = read {
        tracing::debug!(path = %path.display(), %error, "cannot read what ssh has written");
    }
    bytes
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.path) {
            tracing::debug!(path = %self.path.display(), %error, "the directory of a connection stays");
        }
    }
}

/// Why a connection cannot be begun.
#[derive(Debug, thiserror::Error)]
pub(super) enum OpenError {
    #[error(transparent)]
    Agent(#[from] AgentError),
    #[error("cannot prepare the connection: {0}")]
    Io(#[from] io::Error),
}

fn os_words(words: Vec<String>) -> Vec<OsString> {
    words.into_iter().map(OsString::from).collect()
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
    /// Prepares a directory for the sockets, in `ssh_dir` if its path is short enough.
    ///
    /// # Errors
    /// Those of the file system.
    pub(super) fn new(ssh_dir: &Path) -> io::Result<Self> {
        let mut name = format!("{OWN}{}-{:08x}", std::process::id(), rand::random::<u32>());
        let mut parent = ssh_dir.to_owned();
        if ssh_dir.as_os_str().len() + 1 + name.len() + "/0123456789abcdef/s".len() > LONGEST_SOCKET
        {
            // Only our own user reads what is below: `OwnedDir` makes it new, with mode 0700.
            parent = PathBuf::from("/tmp");
            private::sweep_shared(&parent, &format!("{SHARED}{OWN}"));
            name.insert_str(0, SHARED);
        } else {
            private::sweep(ssh_dir)?;
        }
        let dir = OwnedDir::create(parent.join(name))?;
        Ok(Self {
            dir,
            open: Mutex::new(HashMap::new()),
        })
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

    /// Starts a connection to the host that has `host_key`, with the private `key`.
    pub(super) fn open(
        &self,
        spawner: &Spawner,
        host: &Host,
        key: &[u8],
        host_key: &HostKey,
    ) -> Result<Lease, OpenError> {
        let mut place = Place::new(self.dir.path())?;
        let known = [
            host_key.line(&host.address, host.port),
            host_key.line(agent::CONSTRAINT, 22),
        ];
        let known_hosts = &place.files.known_hosts;
        private::write_file(known_hosts, known.concat().as_bytes())?;
        let socket = place.path.join("a");
        let agent = Agent::start(spawner, &socket, key, known_hosts)?;
        place.files.agent = Some(socket);
        let process = place.start(spawner, host, Some(host_key))?;
        Ok(Lease::new(Arc::new(Connection {
            process: Mutex::new(process),
            _agent: agent,
            place,
            host_key: host_key.clone(),
            users: AtomicUsize::new(0),
            last_use: Mutex::new(Instant::now()),
        })))
    }

    /// The key that a host shows to somebody who does not log in, or what `ssh` said instead.
    pub(super) fn learn(
        &self,
        spawner: &Spawner,
        host: &Host,
        cancel: &Cancel,
    ) -> io::Result<Result<HostKey, String>> {
        let place = Place::new(self.dir.path())?;
        let mut process = place.start(spawner, host, None)?;
        let deadline = Instant::now() + OPENING;
        // It ends by itself: there is nothing that it could log in with.
        while process.status()?.is_none() && Instant::now() < deadline && !cancel.is_cancelled() {
            thread::sleep(Duration::from_millis(3));
        }
        process.stop();
        let text = read(&place.files.known_hosts);
        Ok(HostKey::learned(&String::from_utf8_lossy(&text))
            .ok_or_else(|| place.said("the connection timed out")))
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
                Ok(None) if self.place.files.socket.exists() => return Ok(()),
                Ok(None) => {}
                Ok(Some(_)) => return Err(self.place.said("the connection was closed")),
                Err(error) => return Err(error.to_string()),
            }
            if Instant::now() >= deadline || cancel.is_cancelled() {
                return Err(self.place.said("the connection timed out"));
            }
            thread::sleep(Duration::from_millis(3));
        }
    }

    /// The command that runs `command` on the host; where the connection has broken off, by one of its own.
    ///
    /// # Errors
    /// When a path of it is not UTF-8.
    pub(super) fn command(
        &self,
        spawner: &Spawner,
        host: &Host,
        command: &str,
    ) -> io::Result<Command> {
        let words = ssh::client(host, &self.place.files, &self.host_key, command);
        self.place.confined(spawner.child(&os_words(words)), host)
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
