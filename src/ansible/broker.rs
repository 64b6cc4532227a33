//! Runs on its node what a play asks for, over the node's connection, and gives back what it prints.
//!
//! A play has no programs, no sockets and no keys: it has one descriptor, and asks for commands on it
//! (`pressluft.host.node`, the connection plugin). Where they run is not the play's to say. So a play that a node has
//! taken over can do to its own node what that node can do to itself, and nothing else.
//!
//! A request is a length and a command, then pieces of its input, each with its length, and an empty piece. An answer is
//! pieces, each with a tag and a length. All numbers are big-endian. Ansible keeps all that a remote command prints in
//! memory, several times over, so there is an end to it: a node that is broken or hostile must not be able to fill that.

use std::io::{self, PipeReader, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Stdio};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{self, Signal};
use nix::sys::wait::{Id, WaitPidFlag, waitid};
use nix::unistd::Pid;

use super::connection::Connection;
use super::invocation::{Cancel, Host};
use super::spawner::Spawner;

/// More than this on one stream ends the command. What our own programs and Ansible's modules print is far below it.
const LONGEST_OUTPUT: usize = 32 * 1024 * 1024;
/// The longest command; the kernel takes no longer word.
const LONGEST_COMMAND: usize = 128 * 1024;
/// The longest piece of input.
const LONGEST_PIECE: usize = 1024 * 1024;

/// How long what `ssh` has read of the node may take to come after its end, in milliseconds.
const LAST_WORDS: u8 = 200;
/// How long it may go on coming.
const LONGEST_END: Duration = Duration::from_secs(5);

/// The exit code when the node said too much: not the one by which Ansible would take it for unreachable.
const TOO_MUCH: i32 = 1;

/// What a piece of an answer is. `Ended` has the exit code, `Unreachable` why; they are the last.
#[derive(Clone, Copy, Debug)]
#[repr(u8)]
enum Tag {
    Ended = 0,
    Output = 1,
    Errors = 2,
    Unreachable = 3,
}

/// Serves one play until it closes its end, or `over` says that it has ended.
pub(super) fn serve(
    play: &UnixStream,
    spawner: &Spawner,
    connection: &Connection,
    host: &Host,
    over: &Cancel,
) {
    loop {
        let served = next_command(play).and_then(|command| match command {
            Some(command) => {
                answer(play, spawner, connection, host, &command, over)?;
                Ok(true)
            }
            None => Ok(false),
        });
        match served {
            Ok(true) => {}
            Ok(false) => return,
            Err(error) => {
                // A play that has ended meanwhile is not there to be answered.
                tracing::debug!(%error, "a play is not served any more");
                // It must not wait for an answer that does not come.
                drop(play.shutdown(std::net::Shutdown::Both));
                return;
            }
        }
    }
}

/// The next command; none when the play has ended.
fn next_command(mut play: &UnixStream) -> io::Result<Option<String>> {
    let Some(length) = read_length(play)? else {
        return Ok(None);
    };
    if length > LONGEST_COMMAND {
        return Err(io::Error::other("a command is too long"));
    }
    let mut command = vec![0; length];
    play.read_exact(&mut command)?;
    let command = String::from_utf8(command).map_err(io::Error::other)?;
    if command.contains('\0') {
        return Err(io::Error::other("a command holds a NUL"));
    }
    Ok(Some(command))
}

/// A length; none at the end of the stream.
fn read_length(mut play: &UnixStream) -> io::Result<Option<usize>> {
    let mut bytes = [0; 4];
    match play.read_exact(&mut bytes) {
        Ok(()) => Ok(usize::try_from(u32::from_be_bytes(bytes)).ok()),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(None),
        Err(error) => Err(error),
    }
}

/// Where the pieces of an answer go, from several threads.
struct Answer<'a>(Mutex<&'a UnixStream>);

impl Answer<'_> {
    fn send(&self, tag: Tag, bytes: &[u8]) -> io::Result<()> {
        let mut play = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let length = u32::try_from(bytes.len()).map_err(io::Error::other)?;
        let mut head = vec![tag as u8];
        head.extend(length.to_be_bytes());
        play.write_all(&head)?;
        play.write_all(bytes)
    }
}

fn answer(
    play: &UnixStream,
    spawner: &Spawner,
    connection: &Connection,
    host: &Host,
    command: &str,
    over: &Cancel,
) -> io::Result<()> {
    let answer = Answer(Mutex::new(play));
    if let Err(said) = connection.wait(over) {
        pass_input(play, None::<io::Sink>)?;
        return answer.send(Tag::Unreachable, said.as_bytes());
    }
    let mut started = connection.command(spawner, host, command)?;
    started
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = spawner.spawn_child(started)?;
    let ssh = Ssh {
        pid: Pid::from_raw(i32::try_from(child.id()).map_err(io::Error::other)?),
        is_over: Mutex::new(false),
    };
    let result = run(play, &mut child, &ssh, &answer);
    // Also when the play cannot be answered any more: nothing of it goes on.
    ssh.end();
    let status = child.wait()?;
    let is_whole = result?;
    let mut code = status
        .code()
        .unwrap_or_else(|| 128 + status.signal().unwrap_or_default());
    if !is_whole {
        let limit = LONGEST_OUTPUT >> 20;
        let said =
            format!("the node printed more than {limit} MiB; pressluft has closed the connection");
        answer.send(Tag::Errors, said.as_bytes())?;
        code = TOO_MUCH;
    }
    answer.send(Tag::Ended, &code.to_be_bytes())
}

/// Passes input and output of a running `ssh` on until it has ended; whether its output was all passed on.
fn run(play: &UnixStream, child: &mut Child, ssh: &Ssh, answer: &Answer<'_>) -> io::Result<bool> {
    let (input, output, errors) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    // Closed when `ssh` has ended.
    let (over, running) = io::pipe()?;
    thread::scope(|scope| {
        let input = scope.spawn(|| {
            let passed = pass_input(play, input).and_then(|()| wait_for_end(play, &over));
            if !matches!(passed, Ok(true)) {
                ssh.end();
            }
            passed
        });
        let output = scope.spawn(|| pass(output, Tag::Output, answer, &over, ssh));
        let errors = scope.spawn(|| pass(errors, Tag::Errors, answer, &over, ssh));
        ssh.wait()?;
        drop(running);
        let joined = |result: thread::Result<io::Result<bool>>| {
            result.unwrap_or_else(|_| Err(io::Error::other("a thread panicked")))
        };
        let (output, errors) = (joined(output.join()), joined(errors.join()));
        if !joined(input.join())? {
            return Err(io::Error::other("the play ended before its command"));
        }
        Ok(output? && errors?)
    })
}

/// Passes the input of a command on until the empty piece. What nobody reads any more is left out.
fn pass_input(mut play: &UnixStream, mut to: Option<impl Write>) -> io::Result<()> {
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let Some(length) = read_length(play)? else {
            return Err(io::ErrorKind::UnexpectedEof.into());
        };
        if length > LONGEST_PIECE {
            return Err(io::Error::other("a piece of input is too long"));
        }
        if length == 0 {
            return Ok(());
        }
        let mut left = length;
        while left > 0 {
            let part = left.min(buffer.len());
            play.read_exact(&mut buffer[..part])?;
            left -= part;
            if let Some(open) = &mut to
                && open.write_all(&buffer[..part]).is_err()
            {
                to = None;
            }
        }
    }
}

/// Waits until the command is over; false when the play has ended first, or says something out of turn.
fn wait_for_end(play: &UnixStream, over: &PipeReader) -> io::Result<bool> {
    let mut fds = [
        PollFd::new(play.as_fd(), PollFlags::POLLIN),
        PollFd::new(over.as_fd(), PollFlags::POLLIN),
    ];
    wait(&mut fds, PollTimeout::NONE)?;
    Ok(is_ready(&fds[1]))
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

/// Passes a stream on until its end, and says whether that was all of it.
///
/// The shared connection holds the stream open for as long as the remote command runs. Once `ssh` itself is over nobody
/// waits for that: what was said until then is passed on.
fn pass(
    from: Option<impl Read + AsFd>,
    tag: Tag,
    answer: &Answer<'_>,
    over: &PipeReader,
    ssh: &Ssh,
) -> io::Result<bool> {
    let Some(mut from) = from else {
        return Ok(true);
    };
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
        if let Err(error) = answer.send(tag, &buffer[..count]) {
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

fn wait(fds: &mut [PollFd<'_>], timeout: PollTimeout) -> io::Result<()> {
    loop {
        match poll(fds, timeout) {
            Err(nix::Error::EINTR) => {}
            other => return Ok(other.map(drop)?),
        }
    }
}

fn is_ready(fd: &PollFd<'_>) -> bool {
    fd.revents().is_some_and(|events| !events.is_empty())
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
        let (mut seen, to) = UnixStream::pair().expect("two sockets");
        held.write_all(b"its last words").expect("written");
        drop(running);
        let answer = Answer(Mutex::new(&to));
        assert!(pass(Some(from), Tag::Output, &answer, &over, &ssh).expect("passed on"));
        drop(to);
        let mut bytes = Vec::new();
        seen.read_to_end(&mut bytes).expect("read");
        assert_eq!(bytes, b"\x01\0\0\0\x0eits last words");
    }

    #[test]
    fn what_is_no_request_is_refused() {
        for bytes in [
            &b"\xff\xff\xff\xff"[..],
            b"\0\0\0\x02\xff\xfe",
            b"\0\0\0\x03a\0b",
            b"\0\0\0\x09cut",
        ] {
            let (mut play, end) = UnixStream::pair().expect("two sockets");
            play.write_all(bytes).expect("written");
            drop(play);
            assert!(next_command(&end).is_err(), "{bytes:?}");
        }
        let (mut play, end) = UnixStream::pair().expect("two sockets");
        play.write_all(b"\0\0\0\x02id").expect("written");
        drop(play);
        assert_eq!(
            next_command(&end).expect("a request").as_deref(),
            Some("id")
        );
        assert!(next_command(&end).expect("its end").is_none());
    }
}
