//! The process that watches over one play: a child of ours, or of the warm server.

use std::ffi::OsString;
use std::io::{self, PipeReader, PipeWriter};
use std::process::Command;
use std::time::{Duration, Instant};

use command_fds::{CommandFdExt, FdMapping};

use super::config::EVENTS_FD;
use super::spawner::{Spawner, Supervised};
use super::supervisor::exit_of;
use super::warm::{Warm, WarmError};
use super::warm_job::WarmJob;
use crate::process;

/// What is started, in either way.
pub(super) struct Play<'a> {
    /// The command line of `ansible-playbook`.
    pub(super) words: &'a [OsString],
    /// Its environment and its directory.
    pub(super) environment: Vec<(&'static str, OsString)>,
    pub(super) directory: &'a std::path::Path,
    pub(super) grace: Duration,
    /// The server to use if it can be used.
    pub(super) warm: Option<&'a Warm>,
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
        let mut command = self.command(spawner.waiting_command(self.words, self.grace));
        command
            .stdout(output_end.try_clone()?)
            .stderr(output_end)
            .fd_mappings(vec![FdMapping {
                parent_fd: events_end.into(),
                child_fd: EVENTS_FD,
            }])
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
            &output_end,
            &events_end,
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
