//! The warm server: one Python process per engine that has Ansible loaded and forks for each
//! play. `ansible/engine/server.py` says which processes come of a job.
//!
//! Whatever goes wrong here goes wrong before the play has begun, because a play begins only
//! when it is let in ([`WarmJob::let_in`]). So the caller may always run the job without it.

use std::ffi::OsString;
use std::fs::{self, OpenOptions};
use std::io::{self, IoSlice, PipeWriter};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use command_fds::{CommandFdExt, FdMapping};
use data_encoding::HEXLOWER;
use nix::sys::socket::{
    AddressFamily, ControlMessage, MsgFlags, SockFlag, SockType, recv, sendmsg, setsockopt,
    socketpair, sockopt::ReceiveTimeout,
};
use nix::sys::time::TimeVal;
use serde_json::{Value, json};

use super::config;
use super::confine::{Confinement, FIRST_USER};
use super::private::{self, OwnedDir};
use super::spawner::{Spawner, Supervised};
use super::venv::Venv;
use super::warm_job::WarmJob;
use crate::core::outcome::tail;

/// The descriptor on which the server reads its requests.
const REQUESTS_FD: i32 = 3;

/// Loading takes half a second; on a machine under heavy load it may take many of them.
const LOADING: Duration = Duration::from_secs(30);

/// After the server could not be started, jobs run without it for this long.
const REST: Duration = Duration::from_secs(60);

/// Why a job cannot use the warm server.
#[derive(Debug, thiserror::Error)]
pub(super) enum WarmError {
    #[error("ansible-core {0} is none of the versions that it is known to work with")]
    Version(String),
    #[error("it could not be started: {0}")]
    Start(String),
    #[error("a short time ago {0}")]
    Resting(String),
    #[error("`{}` is not UTF-8", .0.display())]
    NotText(OsString),
    #[error("it refused the job: {0}")]
    Refused(String),
    #[error("it did not answer")]
    Silent,
    #[error("the processes of the job ended before it began")]
    Lost,
    #[error(transparent)]
    Io(#[from] io::Error),
}

impl From<nix::Error> for WarmError {
    fn from(error: nix::Error) -> Self {
        Self::Io(error.into())
    }
}

/// What a play has of its own.
#[derive(Clone, Copy)]
pub(super) struct Handed<'a> {
    pub(super) output: &'a PipeWriter,
    pub(super) events: &'a PipeWriter,
    pub(super) node: &'a UnixStream,
    pub(super) confinement: &'a Confinement,
}

/// The server of an engine, started with the first job that wants it.
#[derive(Debug)]
pub(super) struct Warm {
    parent: PathBuf,
    content: PathBuf,
    venv: Venv,
    supervisor: PathBuf,
    state: Mutex<State>,
}

#[derive(Debug)]
enum State {
    Absent,
    Running(Server),
    Failed { at: Instant, why: String },
}

#[derive(Debug)]
struct Server {
    // Closed first: that is what ends the process.
    requests: OwnedFd,
    is_ready: bool,
    messages: PathBuf,
    process: Supervised,
    _dir: OwnedDir,
}

impl Warm {
    /// A server of the Ansible in `venv`, not started yet. `supervisor` is the path of
    /// Pressluft itself. What a dead one left below the state directory is removed.
    ///
    /// # Errors
    /// Those of the file system.
    pub(super) fn new(
        state_dir: &Path,
        content: &Path,
        venv: &Venv,
        supervisor: PathBuf,
    ) -> io::Result<Self> {
        let parent = state_dir.join("warm");
        private::sweep(&parent)?;
        Ok(Self {
            parent,
            content: content.to_owned(),
            venv: venv.clone(),
            supervisor,
            state: Mutex::new(State::Absent),
        })
    }

    /// Starts the server if it does not run, without waiting until it is ready.
    ///
    /// # Errors
    /// [`WarmError`] when it cannot be used on this machine, or could not be a short time ago.
    pub(super) fn start(&self, spawner: &Spawner) -> Result<(), WarmError> {
        self.with(spawner, |_| Ok(()))
    }

    /// Starts the server if it does not run, and waits until it is ready.
    ///
    /// # Errors
    /// [`WarmError`] when that is impossible.
    pub(super) fn make_ready(&self, spawner: &Spawner) -> Result<(), WarmError> {
        self.with(spawner, Server::make_ready)
    }

    /// Hands a job to the server; it has not begun when this returns.
    ///
    /// `words` and `command` are the same command line of `ansible-playbook`, alone and as it
    /// would be started below a supervisor.
    ///
    /// # Errors
    /// [`WarmError`] when it cannot be handed over; then nothing of it will ever run.
    pub(super) fn begin(
        &self,
        spawner: &Spawner,
        words: &[OsString],
        command: &Command,
        grace: Duration,
        handed: Handed<'_>,
    ) -> Result<WarmJob<'_>, WarmError> {
        let mut request = request(words, command, &self.supervisor, grace)?;
        let confinement = handed.confinement;
        request["calls"] = HEXLOWER.encode(&confinement.calls).into();
        request["first_user"] = confinement.own_user.then_some(FIRST_USER).into();
        let request = request.to_string();
        let (control, control_end) = io::pipe()?;
        let (status, status_end) = io::pipe()?;
        let (gate, gate_end) = io::pipe()?;
        let mut fds = vec![
            control.as_fd(),
            status_end.as_fd(),
            handed.output.as_fd(),
            handed.events.as_fd(),
            gate.as_fd(),
            handed.node.as_fd(),
        ];
        fds.extend(confinement.ruleset.as_ref().map(AsFd::as_fd));
        let hand_over = |server: &mut Server| {
            server.make_ready()?;
            server.send(request.as_bytes(), &fds)
        };
        tracing::debug!("handing over");
        match self.with(spawner, hand_over) {
            // It has ended since the last job: a new one gets one chance.
            Err(WarmError::Io(_)) => self.with(spawner, hand_over)?,
            result => result?,
        }
        Ok(WarmJob::new(self, control_end, status, gate_end))
    }

    /// Ends a server that does not answer. Jobs that it has started go on.
    pub(super) fn give_up(&self) {
        let failed = failed(&WarmError::Silent);
        if let State::Running(mut server) = std::mem::replace(&mut *self.locked(), failed) {
            server.process.kill();
        }
    }

    /// Kills the process that watches over a job, when it does not end as it should.
    pub(super) fn kill(&self, pid: u32) {
        let mut state = self.locked();
        if let State::Running(server) = &mut *state
            && let Err(error) = server.send(json!({ "kill": pid }).to_string().as_bytes(), &[])
        {
            tracing::error!(%error, pid, "cannot end a supervisor");
        }
    }

    fn locked(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Uses the running server, or a new one. One that fails is given up.
    fn with(
        &self,
        spawner: &Spawner,
        mut work: impl FnMut(&mut Server) -> Result<(), WarmError>,
    ) -> Result<(), WarmError> {
        let mut state = self.locked();
        match &*state {
            State::Failed { at, why } if at.elapsed() < REST => {
                return Err(WarmError::Resting(why.clone()));
            }
            State::Running(_) | State::Absent | State::Failed { .. } => {}
        }
        let mut server = match std::mem::replace(&mut *state, State::Absent) {
            State::Running(server) => server,
            State::Absent | State::Failed { .. } => self
                .spawn(spawner)
                .inspect_err(|error| *state = failed(error))?,
        };
        let was_ready = server.is_ready;
        match work(&mut server) {
            Ok(()) => *state = State::Running(server),
            Err(error) => {
                if !was_ready {
                    *state = failed(&error);
                }
                return Err(error);
            }
        }
        Ok(())
    }

    fn spawn(&self, spawner: &Spawner) -> Result<Server, WarmError> {
        if !self.venv.is_pinned() {
            return Err(WarmError::Version(self.venv.ansible_version.clone()));
        }
        let name = format!("{}-{:08x}", std::process::id(), rand::random::<u32>());
        let dir = OwnedDir::create(self.parent.join(name))?;
        let path = dir.path();
        for inner in ["home", "tmp"] {
            private::make_dir(&path.join(inner))?;
        }
        private::write_file(&path.join("ansible.cfg"), config::FILE)?;
        let messages = path.join("messages");
        let sink = OpenOptions::new()
            .append(true)
            .create_new(true)
            .mode(0o600)
            .open(&messages)?;
        let (requests, requests_end) = socketpair(
            AddressFamily::Unix,
            SockType::SeqPacket,
            None,
            SockFlag::SOCK_CLOEXEC,
        )?;
        let timeout = TimeVal::new(i64::try_from(LOADING.as_secs()).unwrap_or(i64::MAX), 0);
        setsockopt(&requests, ReceiveTimeout, &timeout)?;
        let words = [
            self.venv.python().into_os_string(),
            self.content.join("engine/server.py").into_os_string(),
        ];
        let mut command = spawner.child(&words);
        command
            .envs(config::environment(&self.content, path))
            .current_dir(path)
            .stdin(Stdio::null())
            .stdout(sink.try_clone()?)
            .stderr(sink)
            .fd_mappings(vec![FdMapping {
                parent_fd: requests_end,
                child_fd: REQUESTS_FD,
            }])
            .map_err(io::Error::other)?;
        Ok(Server {
            requests,
            is_ready: false,
            messages,
            process: spawner.spawn(command)?,
            _dir: dir,
        })
    }
}

impl Server {
    /// Waits for its first message.
    fn make_ready(&mut self) -> Result<(), WarmError> {
        if self.is_ready {
            return Ok(());
        }
        let mut buffer = [0; 16];
        match recv(self.requests.as_raw_fd(), &mut buffer, MsgFlags::empty()) {
            Ok(1..) => {
                self.is_ready = true;
                Ok(())
            }
            Ok(0) => Err(WarmError::Start(self.said("it ended while loading"))),
            Err(nix::Error::EAGAIN) => Err(WarmError::Start(self.said("it did not get ready"))),
            Err(error) => Err(error.into()),
        }
    }

    fn send(&self, message: &[u8], fds: &[BorrowedFd<'_>]) -> Result<(), WarmError> {
        let fds: Vec<i32> = fds.iter().map(AsRawFd::as_raw_fd).collect();
        let rights = [ControlMessage::ScmRights(&fds)];
        sendmsg::<()>(
            self.requests.as_raw_fd(),
            &[IoSlice::new(message)],
            if fds.is_empty() { &[] } else { &rights },
            // One that has stopped reading must not stop us.
            MsgFlags::MSG_NOSIGNAL | MsgFlags::MSG_DONTWAIT,
            None,
        )?;
        Ok(())
    }

    fn said(&self, otherwise: &str) -> String {
        let bytes = fs::read(&self.messages).unwrap_or_default();
        let text = String::from_utf8_lossy(&bytes);
        match tail(text.trim(), 2048) {
            "" => otherwise.to_owned(),
            text => format!("{otherwise}: {text}"),
        }
    }
}

fn failed(error: &WarmError) -> State {
    State::Failed {
        at: Instant::now(),
        why: error.to_string(),
    }
}

/// What the server is told of a job.
fn request(
    words: &[OsString],
    command: &Command,
    supervisor: &Path,
    grace: Duration,
) -> Result<Value, WarmError> {
    let text = |text: &std::ffi::OsStr| match text.to_str() {
        Some(text) => Ok(text.to_owned()),
        None => Err(WarmError::NotText(text.to_owned())),
    };
    let argv = words
        .iter()
        .map(|word| text(word))
        .collect::<Result<Vec<_>, _>>()?;
    let environment = command
        .get_envs()
        .filter_map(|(name, value)| Some((name, value?)))
        .map(|(name, value)| Ok((text(name)?, Value::String(text(value)?))))
        .collect::<Result<serde_json::Map<_, _>, WarmError>>()?;
    let directory = command.get_current_dir().unwrap_or(Path::new("/"));
    Ok(json!({
        "argv": argv,
        "environment": environment,
        "directory": text(directory.as_os_str())?,
        "supervisor": text(supervisor.as_os_str())?,
        "grace_ms": u64::try_from(grace.as_millis()).unwrap_or(u64::MAX),
    }))
}
