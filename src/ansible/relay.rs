//! What Ansible calls as `ssh`: the real one, with an end to how much it may say.
//!
//! Ansible keeps all that a remote command prints in memory, several times over. A node that is
//! broken or hostile must not be able to fill the control plane's memory with it.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, PipeReader, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::Stdio;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{self, Signal};
use nix::sys::wait::{Id, WaitPidFlag, waitid};
use nix::unistd::Pid;

use crate::process;

/// The name by which Ansible calls this program.
pub(super) const NAME: &str = "ssh";

/// More than this on one stream ends the connection. What our own programs and Ansible's
/// modules print is far below it.
const LONGEST_OUTPUT: usize = 32 * 1024 * 1024;

/// How long what `ssh` has read of the node may take to come after its end, in milliseconds.
const LAST_WORDS: u8 = 200;
/// How long it may go on coming.
const LONGEST_END: Duration = Duration::from_secs(5);

/// The exit code when the node said too much: not the one by which Ansible would take it for
/// unreachable.
const TOO_MUCH: i32 = 1;

/// Whether this program was called by the name that the engine gives to Ansible.
#[must_use]
pub fn is_called(program: &OsStr) -> bool {
    Path::new(program).file_name() == Some(OsStr::new(NAME))
}

/// Runs `ssh` with these arguments and passes on what it prints; its exit code.
///
/// # Errors
/// When it cannot be started or waited for.
pub fn run(arguments: impl Iterator<Item = OsString>) -> io::Result<i32> {
    let mut child = process::inherited(NAME)
        .args(arguments)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    let ssh = Arc::new(Ssh {
        pid: Pid::from_raw(i32::try_from(child.id()).map_err(io::Error::other)?),
        is_over: Mutex::new(false),
    });
    forward_signals(Arc::clone(&ssh))?;
    // Closed when `ssh` has ended.
    let (over, running) = io::pipe()?;
    let over = Arc::new(over);
    let output = passing(child.stdout.take(), io::stdout(), &over, &ssh);
    let errors = passing(child.stderr.take(), io::stderr(), &over, &ssh);
    ssh.wait()?;
    drop(running);
    let mut is_whole = true;
    for stream in [output, errors] {
        is_whole &= stream
            .join()
            .map_err(|_| io::Error::other("a thread panicked"))??;
    }
    let status = child.wait()?;
    if !is_whole {
        let limit = LONGEST_OUTPUT >> 20;
        writeln!(
            io::stderr().lock(),
            "the node printed more than {limit} MiB; pressluft has closed the connection"
        )?;
        return Ok(TOO_MUCH);
    }
    Ok(status
        .code()
        .unwrap_or_else(|| 128 + status.signal().unwrap_or_default()))
}

/// The running `ssh`, for as long as its process id is its own.
struct Ssh {
    pid: Pid,
    is_over: Mutex<bool>,
}

impl Ssh {
    fn end(&self) {
        let is_over = self.is_over.lock().unwrap_or_else(PoisonError::into_inner);
        if !*is_over && let Err(error) = signal::kill(self.pid, Signal::SIGTERM) {
            tracing::debug!(%error, "ssh has ended");
        }
    }

    /// Waits for its end, and leaves its status to be collected.
    fn wait(&self) -> io::Result<()> {
        let flags = WaitPidFlag::WEXITED | WaitPidFlag::WNOWAIT;
        while let Err(error) = waitid(Id::Pid(self.pid), flags) {
            if error != nix::Error::EINTR {
                return Err(error.into());
            }
        }
        *self.is_over.lock().unwrap_or_else(PoisonError::into_inner) = true;
        Ok(())
    }
}

/// Ansible ends what it called, and means `ssh`.
fn forward_signals(ssh: Arc<Ssh>) -> io::Result<()> {
    use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
    let mut signals = signal_hook::iterator::Signals::new([SIGTERM, SIGINT, SIGHUP])?;
    thread::spawn(move || signals.forever().for_each(|_| ssh.end()));
    Ok(())
}

/// Passes a stream on in a thread of its own.
fn passing(
    from: Option<impl Read + AsFd + Send + 'static>,
    to: impl AsFd + Send + 'static,
    over: &Arc<PipeReader>,
    ssh: &Arc<Ssh>,
) -> JoinHandle<io::Result<bool>> {
    let (over, ssh) = (Arc::clone(over), Arc::clone(ssh));
    thread::spawn(move || from.map_or(Ok(true), |from| pass(from, &to, &over, &ssh)))
}

/// Passes a stream on until its end, and says whether that was all of it.
///
/// The shared connection holds the stream open for as long as the remote command runs. Once `ssh` itself
/// is over nobody waits for that: what was said until then is passed on.
fn pass(
    mut from: impl Read + AsFd,
    to: &impl AsFd,
    over: &PipeReader,
    ssh: &Ssh,
) -> io::Result<bool> {
    let mut to = File::from(to.as_fd().try_clone_to_owned()?);
    let mut buffer = vec![0; 64 * 1024];
    let mut left = LONGEST_OUTPUT;
    let mut deadline = None;
    loop {
        if !is_coming(&from, over, &mut deadline)? {
            return Ok(true);
        }
        let count = match from.read(&mut buffer) {
            Ok(0) => return Ok(true),
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        if count > left {
            ssh.end();
            return Ok(false);
        }
        left -= count;
        if let Err(error) = to.write_all(&buffer[..count]) {
            // Nobody reads any more, so that nothing has to be done.
            ssh.end();
            return Err(error);
        }
    }
}

/// Waits until there is something to read, its end included; false when `ssh` is over and nothing
/// comes any more, or something still does at the `deadline` that this then has.
fn is_coming(
    from: &impl AsFd,
    over: &PipeReader,
    deadline: &mut Option<Instant>,
) -> io::Result<bool> {
    let wait = |fds: &mut [PollFd<'_>], timeout: PollTimeout| loop {
        match poll(fds, timeout) {
            Err(nix::Error::EINTR) => {}
            other => return other.map(drop),
        }
    };
    let is_ready = |fd: &PollFd<'_>| fd.revents().is_some_and(|events| !events.is_empty());
    let mut fds = [
        PollFd::new(from.as_fd(), PollFlags::POLLIN),
        PollFd::new(over.as_fd(), PollFlags::POLLIN),
    ];
    wait(&mut fds, PollTimeout::NONE)?;
    if is_ready(&fds[1]) {
        let end = *deadline.get_or_insert_with(|| Instant::now() + LONGEST_END);
        if Instant::now() >= end {
            return Ok(false);
        }
    }
    if !is_ready(&fds[0]) {
        wait(&mut fds[..1], LAST_WORDS.into())?;
    }
    Ok(is_ready(&fds[0]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_that_is_held_open_ends_when_ssh_is_over() {
        let ssh = Ssh {
            pid: Pid::this(),
            is_over: Mutex::new(true),
        };
        let (from, mut held) = io::pipe().expect("a pipe");
        let (over, running) = io::pipe().expect("a pipe");
        let (mut seen, to) = io::pipe().expect("a pipe");
        held.write_all(b"its last words").expect("written");
        drop(running);
        assert!(pass(from, &to, &over, &ssh).expect("passed on"));
        drop(to);
        let mut text = String::new();
        seen.read_to_string(&mut text).expect("read");
        assert_eq!(text, "its last words");
    }
}
