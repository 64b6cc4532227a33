//! The process that watches over one play: a child of ours, or of the warm server.

use std::ffi::OsString;
use std::io::{self, PipeReader, PipeWriter};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use command_fds::{CommandFdExt, FdMapping};
use data_encoding::HEXLOWER;

use super::config::{EVENTS_FD, NODE_FD};
use super::confine::{Confinement, FIRST_USER};
use super::spawner::{Spawner, Supervised};
use super::supervisor::exit_of;
use super::warm::{Handed, Warm, WarmError};
use super::warm_job::WarmJob;
use crate::process;

/// The descriptor of the ruleset, where a play is started by itself.
const RULESET_FD: i32 = 5;

/// What is started, in either way.
pub(super) struct Play<'a> {
    /// The command line of `ansible-playbook`.
    pub(super) words: &'a [OsString],
    /// Its environment and its directory.
    pub(super) environment: Vec<(&'static str, OsString)>,
    pub(super) directory: &'a Path,
    pub(super) grace: Duration,
    /// What it is confined by, and its way to the node.
    pub(super) confinement: &'a Confinement,
    pub(super) node: &'a UnixStream,
    /// The server to use if it can be used, and what to start without it.
    pub(super) warm: Option<&'a Warm>,
    pub(super) plain: Plain<'a>,
}

/// What loads Ansible for one play: a Python, and our program for it.
pub(super) struct Plain<'a> {
    pub(super) python: &'a Path,
    pub(super) program: &'a Path,
}

/// The process that ends with its play and ends its play with itself.
pub(super) enum Guardian<'a> {
    Plain(Supervised),
    Warm(WarmJob<'a>),
}

/// A play that was started, and what it says.
pub(super) struct Started<'a> {
    pub(super) guardian: Guardian<'a>,
    /// What names the control group of the play, as far as it is known.
    pub(super) supervisor: Option<(i32, u64)>,
    pub(super) events: PipeReader,
    pub(super) output: PipeReader,
}

impl Play<'_> {
    /// Starts the play, or has it ready to begin when `is_stopped` by then.
    ///
    /// It begins only once: what the warm server cannot start has not begun anything, and is
    /// started without it. `on_start` is told the id of the process that watches over it, before
    /// the play begins.
    ///
    /// # Errors
    /// Those of making pipes and starting processes; then nothing runs.
    pub(super) fn start<'a>(
        &'a self,
        spawner: &Spawner,
        is_stopped: &dyn Fn() -> bool,
        on_start: &mut dyn FnMut(u32),
    ) -> io::Result<Started<'a>> {
        if let Some(warm) = self.warm {
            match self.start_warm(warm, spawner, is_stopped, on_start) {
                Ok(started) => return Ok(started),
                Err(reason) => tracing::warn!(
                    %reason,
                    "the warm engine cannot be used; the job runs without it"
                ),
            }
        }
        let (events, events_end) = io::pipe()?;
        let (output, output_end) = io::pipe()?;
        let mut command = self.command(spawner.waiting_command(&self.plain_words(), self.grace));
        let mut mappings = vec![
            FdMapping {
                parent_fd: events_end.into(),
                child_fd: EVENTS_FD,
            },
            FdMapping {
                parent_fd: self.node.try_clone()?.into(),
                child_fd: NODE_FD,
            },
        ];
        if let Some(ruleset) = &self.confinement.ruleset {
            mappings.push(FdMapping {
                parent_fd: ruleset.try_clone()?,
                child_fd: RULESET_FD,
            });
        }
        command
            .stdout(output_end.try_clone()?)
            .stderr(output_end)
            .fd_mappings(mappings)
            .map_err(io::Error::other)?;
        let mut process = spawner.spawn(command)?;
        let supervisor = identity(process.child.id());
        on_start(process.child.id());
        if !is_stopped() {
            process.go();
        }
        Ok(Started {
            supervisor,
            guardian: Guardian::Plain(process),
            events,
            output,
        })
    }

    fn start_warm<'a>(
        &'a self,
        warm: &'a Warm,
        spawner: &Spawner,
        is_stopped: &dyn Fn() -> bool,
        on_start: &mut dyn FnMut(u32),
    ) -> Result<Started<'a>, WarmError> {
        let (events, events_end) = io::pipe()?;
        let (output, output_end): (PipeReader, PipeWriter) = io::pipe()?;
        let command = self.command(spawner.command(self.words, self.grace));
        let mut job = warm.begin(
            spawner,
            self.words,
            &command,
            self.grace,
            Handed {
                output: &output_end,
                events: &events_end,
                node: self.node,
                confinement: self.confinement,
            },
        )?;
        drop((output_end, events_end));
        job.wait_until_ready(is_stopped)?;
        let supervisor = identity(job.pid);
        if job.pid > 0 {
            on_start(job.pid);
        }
        // Whoever could not record the process does not want the play, either.
        if is_stopped() {
            job.stop();
        } else {
            job.let_in()?;
        }
        Ok(Started {
            supervisor,
            guardian: Guardian::Warm(job),
            events,
            output,
        })
    }

    /// The command line that confines itself, then loads Ansible, see `ansible/engine/plain.py`.
    fn plain_words(&self) -> Vec<OsString> {
        let Confinement {
            ruleset,
            calls,
            own_user,
        } = self.confinement;
        let absent = || "-".to_owned();
        let ruleset = ruleset
            .as_ref()
            .map_or_else(absent, |_| RULESET_FD.to_string());
        let calls = match calls.as_slice() {
            [] => absent(),
            calls => HEXLOWER.encode(calls),
        };
        let first_user = own_user.then(|| FIRST_USER.to_string());
        let (python, program) = (self.plain.python, self.plain.program);
        let head = [
            python.as_os_str().to_owned(),
            program.as_os_str().to_owned(),
        ];
        let confinement = [ruleset, calls, first_user.unwrap_or_else(absent)];
        let words = head.into_iter().chain(confinement.map(OsString::from));
        words.chain(self.words.iter().cloned()).collect()
    }

    fn command(&self, mut command: Command) -> Command {
        command
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .current_dir(self.directory);
        command
    }
}

/// What tells the process from a later one with its number, while it lives.
fn identity(pid: u32) -> Option<(i32, u64)> {
    let pid = i32::try_from(pid).ok()?;
    Some((pid, process::start_of(pid).ok()??))
}

impl Guardian<'_> {
    /// Asks for the end of the play: SIGTERM, and SIGKILL after the grace period.
    pub(super) fn stop(&mut self) {
        match self {
            Self::Plain(process) => process.stop(),
            Self::Warm(job) => job.stop(),
        }
    }

    /// The play's exit code, or the signal that ended its guardian; none while it lasts.
    pub(super) fn status(&mut self) -> io::Result<Option<Result<i32, i32>>> {
        match self {
            Self::Plain(process) => Ok(process.status()?.map(exit_of)),
            Self::Warm(job) => Ok(job.status()),
        }
    }

    /// Waits for its end until `deadline`.
    pub(super) fn wait_until(&mut self, deadline: Instant) -> io::Result<Option<Result<i32, i32>>> {
        match self {
            Self::Plain(process) => Ok(process.wait_until(deadline)?.map(exit_of)),
            Self::Warm(job) => Ok(job.wait_until(deadline)),
        }
    }

    /// Kills the guardian; its play is told by the kernel.
    pub(super) fn kill(&mut self) {
        match self {
            Self::Plain(process) => process.kill(),
            Self::Warm(job) => job.kill(),
        }
    }
}
