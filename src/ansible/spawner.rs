//! Starts supervised processes from one thread that lives as long as the engine.
//!
//! The kernel sends a child its parent-death signal when the *thread* that started it ends,
//! so a warm connection must not be started by the thread of one job.

use std::ffi::OsString;
use std::io::{self, Write};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, Sender};
use std::thread;
use std::time::{Duration, Instant};

use super::confine::Reach;
use crate::process;

/// The variable that tells a command what it can reach, see [`super::supervisor`]. Without it nothing is confined.
pub(super) const REACH: &str = "PRESSLUFT_REACH";

/// The thread that starts processes.
#[derive(Debug)]
pub(super) struct Spawner {
    supervisor: PathBuf,
    requests: Sender<Request>,
}

struct Request {
    command: Command,
    reply: Sender<io::Result<Child>>,
}

impl Spawner {
    /// Starts the thread; it ends when this is dropped.
    ///
    /// # Errors
    /// When the system has no room for another thread.
    pub(super) fn start(supervisor: PathBuf) -> io::Result<Self> {
        let (requests, received) = mpsc::channel::<Request>();
        thread::Builder::new()
            .name("spawner".to_owned())
            .spawn(move || {
                for Request { mut command, reply } in received {
                    let child = command.spawn();
                    // Its ends of the pipes close before the caller looks at the other ends.
                    drop(command);
                    if let Err(mpsc::SendError(Ok(mut unwanted))) = reply.send(child)
                        && let Err(error) = unwanted.kill()
                    {
                        tracing::error!(%error, "cannot end a process that nobody waits for");
                    }
                }
            })?;
        Ok(Self {
            supervisor,
            requests,
        })
    }

    /// Has a command line reach no more than this; the supervisor itself stays as it is.
    ///
    /// # Errors
    /// When a path of it is not UTF-8.
    pub(super) fn confine(command: &mut Command, reach: &Reach) -> io::Result<()> {
        // A variable and not an argument, because the supervisor hands it down.
        command.env(REACH, serde_json::to_string(reach)?);
        Ok(())
    }

    /// A command line below the supervisor, ready for more settings. Its standard input is
    /// the pipe whose end stops it. It begins at once.
    pub(super) fn command(&self, words: &[OsString], grace: Duration) -> Command {
        self.supervised(words, grace, &[])
    }

    /// The same, but it begins at [`Supervised::go`] and never without it.
    pub(super) fn waiting_command(&self, words: &[OsString], grace: Duration) -> Command {
        self.supervised(words, grace, &["--wait"])
    }

    fn supervised(&self, words: &[OsString], grace: Duration, more: &[&str]) -> Command {
        let mut command = process::command(&self.supervisor);
        command
            .arg0("pressluft")
            .args(["supervise", "--parent", &std::process::id().to_string()])
            .args(["--grace-ms", &grace.as_millis().to_string()])
            .args(more)
            .arg("--")
            .args(words)
            .stdin(Stdio::piped())
            // A Ctrl-C at the terminal is for Pressluft, which then stops its jobs in order.
            .process_group(0);
        command
    }

    /// A command line that becomes the child itself and gets SIGTERM when this process dies.
    pub(super) fn child(&self, words: &[OsString]) -> Command {
        let mut command = process::command(&self.supervisor);
        command
            .arg0("pressluft")
            .args(["supervise", "--as-child"])
            .args(["--parent", &std::process::id().to_string(), "--"])
            .args(words)
            .process_group(0);
        command
    }

    /// Starts a command line of [`Self::child`].
    ///
    /// # Errors
    /// Those of starting a process.
    pub(super) fn spawn_child(&self, command: Command) -> io::Result<Child> {
        let (reply, answer) = mpsc::channel();
        let gone = || io::Error::other("the spawning thread has ended");
        self.requests
            .send(Request { command, reply })
            .map_err(|_| gone())?;
        answer.recv().map_err(|_| gone())?
    }

    /// Starts a command line of a supervisor.
    ///
    /// # Errors
    /// Those of starting a process.
    pub(super) fn spawn(&self, command: Command) -> io::Result<Supervised> {
        let mut child = self.spawn_child(command)?;
        Ok(Supervised {
            control: child.stdin.take(),
            child,
        })
    }
}

/// A running supervisor. Dropping it stops the command and waits for its end.
#[derive(Debug)]
pub(super) struct Supervised {
    control: Option<ChildStdin>,
    pub(super) child: Child,
}

impl Supervised {
    /// Lets a command begin that waits for it. One that has ended meanwhile is seen by its end.
    pub(super) fn go(&mut self) {
        if let Some(control) = &mut self.control
            && let Err(error) = control.write_all(b"\n")
        {
            tracing::debug!(%error, "the supervisor ended before its command began");
        }
    }

    /// Asks for the end: SIGTERM, and SIGKILL after the grace period.
    pub(super) fn stop(&mut self) {
        drop(self.control.take());
    }

    /// The exit status, if it has ended.
    pub(super) fn status(&mut self) -> io::Result<Option<ExitStatus>> {
        self.child.try_wait()
    }

    /// Waits for its end until `deadline`.
    pub(super) fn wait_until(&mut self, deadline: Instant) -> io::Result<Option<ExitStatus>> {
        loop {
            if let Some(status) = self.child.try_wait()? {
                return Ok(Some(status));
            }
            if Instant::now() >= deadline {
                return Ok(None);
            }
            thread::sleep(Duration::from_millis(2));
        }
    }

    /// Kills the supervisor; the kernel then tells its command.
    pub(super) fn kill(&mut self) {
        if let Err(error) = self.child.kill().and_then(|()| self.child.wait()) {
            tracing::error!(%error, "cannot end a supervisor");
        }
    }
}

impl Drop for Supervised {
    fn drop(&mut self) {
        self.stop();
        match self.wait_until(Instant::now() + Duration::from_secs(5)) {
            Ok(Some(_)) => {}
            Ok(None) | Err(_) => self.kill(),
        }
    }
}
