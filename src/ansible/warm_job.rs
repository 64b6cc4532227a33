//! One job of the warm server, as its engine sees it: a process that is not our child.
//!
//! `pressluft supervise` watches over it as over every job, and says on a pipe what our own
//! children say with their exit status.

use std::io::{PipeReader, PipeWriter, Write};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, TryRecvError};
use std::thread;
use std::time::{Duration, Instant};

use super::stream::{Line, read_lines};
use super::warm::{Warm, WarmError};

/// How long the processes of a job may take to be there and ready.
const PREPARING: Duration = Duration::from_secs(20);

/// How often a request to stop is looked for meanwhile.
const TICK: Duration = Duration::from_millis(50);

/// What the two processes of a job report.
enum Report {
    /// The supervisor is on guard; its process id.
    Started(u32),
    /// The play is loaded and waits to be let in.
    Ready,
    /// The play has ended with this exit code, and nothing of it is left.
    Ended(i32),
    Refused(String),
}

/// A job that the server has taken. Dropping it stops the job and waits for its end.
#[derive(Debug)]
pub(super) struct WarmJob<'a> {
    warm: &'a Warm,
    /// The supervisor's process id, once it is on guard.
    pub(super) pid: u32,
    control: Option<PipeWriter>,
    gate: Option<PipeWriter>,
    reports: Receiver<Report>,
    code: Option<i32>,
    is_over: bool,
}

impl<'a> WarmJob<'a> {
    pub(super) fn new(
        warm: &'a Warm,
        control: PipeWriter,
        status: PipeReader,
        gate: PipeWriter,
    ) -> Self {
        let (sender, reports) = mpsc::channel();
        thread::spawn(move || {
            let result = read_lines(status, |line| match line {
                Line::Whole(bytes) => parse(bytes).is_none_or(|report| sender.send(report).is_ok()),
                Line::TooLong(_) => true,
            });
            if let Err(error) = result {
                tracing::error!(%error, "cannot read the status of a job");
            }
        });
        Self {
            warm,
            pid: 0,
            control: Some(control),
            gate: Some(gate),
            reports,
            code: None,
            is_over: false,
        }
    }

    /// Waits until the play waits to be let in, or `is_stopped` says that it never will be.
    ///
    /// # Errors
    /// [`WarmError`] when it cannot be; then this job never begins.
    pub(super) fn wait_until_ready(
        &mut self,
        is_stopped: &dyn Fn() -> bool,
    ) -> Result<(), WarmError> {
        let deadline = Instant::now() + PREPARING;
        let mut is_ready = false;
        while !(is_stopped() || is_ready && self.pid > 0) {
            match self.reports.recv_timeout(TICK) {
                Ok(Report::Started(pid)) => self.pid = pid,
                Ok(Report::Ready) => is_ready = true,
                Ok(Report::Refused(why)) => return Err(WarmError::Refused(why)),
                Ok(Report::Ended(_)) | Err(RecvTimeoutError::Disconnected) => {
                    self.is_over = true;
                    return Err(WarmError::Lost);
                }
                Err(RecvTimeoutError::Timeout) if Instant::now() < deadline => {}
                Err(RecvTimeoutError::Timeout) => {
                    self.warm.give_up();
                    return Err(WarmError::Silent);
                }
            }
        }
        Ok(())
    }

    /// Lets the play begin.
    ///
    /// # Errors
    /// [`WarmError`] when it is gone; then it has not begun.
    pub(super) fn let_in(&mut self) -> Result<(), WarmError> {
        match self.gate.take() {
            Some(mut gate) => Ok(gate.write_all(b"g")?),
            None => Ok(()),
        }
    }

    /// Asks for the end: SIGTERM, and SIGKILL after the grace period.
    pub(super) fn stop(&mut self) {
        drop(self.gate.take());
        drop(self.control.take());
    }

    /// The exit code, or the signal that is taken for the end of a supervisor that said
    /// nothing; none while the job lasts.
    pub(super) fn status(&mut self) -> Option<Result<i32, i32>> {
        while !self.is_over {
            match self.reports.try_recv() {
                Ok(report) => self.note(&report),
                Err(TryRecvError::Empty) => return None,
                Err(TryRecvError::Disconnected) => self.is_over = true,
            }
        }
        Some(self.code.ok_or(KILLED))
    }

    /// Waits for its end until `deadline`.
    pub(super) fn wait_until(&mut self, deadline: Instant) -> Option<Result<i32, i32>> {
        while !self.is_over {
            let left = deadline.saturating_duration_since(Instant::now());
            match self.reports.recv_timeout(left) {
                Ok(report) => self.note(&report),
                Err(RecvTimeoutError::Timeout) => return None,
                Err(RecvTimeoutError::Disconnected) => self.is_over = true,
            }
        }
        Some(self.code.ok_or(KILLED))
    }

    /// Kills the supervisor; the server then ends what that leaves.
    pub(super) fn kill(&mut self) {
        if !self.is_over && self.pid > 0 {
            self.warm.kill(self.pid);
        }
    }

    fn note(&mut self, report: &Report) {
        match report {
            Report::Ended(code) => self.code = Some(*code),
            Report::Started(pid) => self.pid = *pid,
            Report::Ready | Report::Refused(_) => {}
        }
    }
}

impl Drop for WarmJob<'_> {
    fn drop(&mut self) {
        self.stop();
        if self
            .wait_until(Instant::now() + Duration::from_secs(5))
            .is_none()
        {
            self.kill();
        }
    }
}

/// The signal that a supervisor which ended without a word is taken to have died of.
const KILLED: i32 = 9;

/// One line of the status pipe; none when it is not one.
fn parse(line: &[u8]) -> Option<Report> {
    let line = std::str::from_utf8(line).ok()?;
    let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
    match word {
        "started" => rest.parse().ok().map(Report::Started),
        "ready" => Some(Report::Ready),
        "ended" => rest.parse().ok().map(Report::Ended),
        "refused" => Some(Report::Refused(rest.to_owned())),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_that_is_no_report_is_none() {
        assert!(matches!(parse(b"started 42"), Some(Report::Started(42))));
        assert!(matches!(parse(b"ready"), Some(Report::Ready)));
        assert!(matches!(parse(b"ended 143"), Some(Report::Ended(143))));
        let refused = parse("refused kein Platz für ihn".as_bytes());
        assert!(matches!(refused, Some(Report::Refused(why)) if why == "kein Platz für ihn"));
        for line in [
            "started",
            "started -1",
            "ended x",
            "",
            "Traceback (most recent",
        ] {
            assert!(parse(line.as_bytes()).is_none(), "{line}");
        }
    }
}
