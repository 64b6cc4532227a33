//! The process between Pressluft and Ansible: `pressluft supervise -- COMMAND`.
//!
//! It makes sure that nothing of a job outlives the job. It ends the command and all that
//! descends from it when its standard input closes (Pressluft is gone, or wants the job
//! stopped), when it gets a signal, or when Pressluft's spawning thread dies. As subreaper
//! it inherits what the command leaves behind, wherever that went. If the supervisor itself
//! is killed, the command gets SIGTERM from the kernel, and what ignores that is found by its
//! control group.
//!
//! It may be told to wait for a go-ahead, a byte on its standard input. Who starts it records it
//! first; so whatever is not recorded has never begun.

use std::ffi::OsString;
use std::fs;
use std::io::{self, Read};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::thread;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::prctl;
use nix::sys::signal::{self, Signal};
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::{Pid, getppid};

use super::confine::{Reach, restrict_calls};
use super::job_group::JobGroup;
use super::process_tree::descendants;
use super::spawner::REACH;
use crate::process;

/// The exit code when the command cannot be started, as in shells.
pub const NOT_STARTED: i32 = 127;

/// Orphans that the command left behind when it ended by itself get this long.
const ORPHAN_GRACE: Duration = Duration::from_secs(2);

/// Ansible ends its own workers on SIGTERM; this is how long that may take before they are
/// told as well.
const FIRST_NOTICE: Duration = Duration::from_secs(2);

/// After SIGKILL only the kernel can hold a process, for example in a dead network mount.
const KILL_WAIT: Duration = Duration::from_secs(5);

enum Message {
    Go,
    Stop,
    Ended(Pid, i32),
    /// No child is left.
    Alone,
}

/// Runs `command` until it ends or has to, and returns its exit code; 128 + N when signal N
/// ended it.
///
/// `parent` is the process that must stay alive. `grace` is what a stopped command gets
/// between SIGTERM and SIGKILL. With `waits` it begins at the go-ahead, or never.
///
/// # Errors
/// When the command cannot be started or this process cannot become its guardian.
pub fn supervise(
    command: &[OsString],
    parent: i32,
    grace: Duration,
    waits: bool,
) -> io::Result<i32> {
    die_with(parent)?;
    let (sender, messages) = become_guard()?;
    if waits && !matches!(messages.recv(), Ok(Message::Go)) {
        return Ok(NOT_STARTED);
    }
    let group = JobGroup::make();
    let this = std::process::id().to_string();
    let mut child = process::inherited("/proc/self/exe");
    child
        .arg0("pressluft")
        .args(["supervise", "--as-child", "--parent", &this]);
    if let Some(group) = &group {
        child.arg("--group").arg(group.entrance());
    }
    let child = child
        .arg("--")
        .args(command)
        .stdin(Stdio::null())
        .process_group(0)
        .spawn()?;
    let main = Pid::from_raw(i32::try_from(child.id()).map_err(io::Error::other)?);
    Ok(guard(main, grace, group.as_ref(), sender, &messages))
}

/// Watches over `main`, a child that this process had before it became Pressluft, as
/// [`supervise`] does over one that it starts. `on_guard` is called once it does.
///
/// It is not told when its own parent dies: its input closes when the Pressluft does that
/// wants the job.
///
/// # Errors
/// When this process cannot become a guardian; the child then has to be told by the kernel.
pub fn adopt(
    main: i32,
    grace: Duration,
    on_guard: &mut dyn FnMut() -> io::Result<()>,
) -> io::Result<i32> {
    let (sender, messages) = become_guard()?;
    let group = JobGroup::make();
    on_guard()?;
    // It takes the kernel longer than all the rest, and the play needs longer still before it
    // starts its first process.
    if let Some(group) = &group
        && let Err(error) = group.admit(main)
    {
        tracing::debug!(%error, "the play stays outside of its control group");
    }
    Ok(guard(
        Pid::from_raw(main),
        grace,
        group.as_ref(),
        sender,
        &messages,
    ))
}

fn become_guard() -> io::Result<(Sender<Message>, Receiver<Message>)> {
    prctl::set_child_subreaper(true)?;
    let (sender, messages) = mpsc::channel();
    watch_signals(sender.clone())?;
    watch_input(sender.clone());
    Ok((sender, messages))
}

/// Waits for the end of `main` and brings it about when it has to be.
fn guard(
    main: Pid,
    grace: Duration,
    group: Option<&JobGroup>,
    sender: Sender<Message>,
    messages: &Receiver<Message>,
) -> i32 {
    thread::spawn(move || reap(&sender));
    let mut code = None;
    let mut stop: Option<Stop> = None;
    loop {
        let wait = stop
            .as_ref()
            .map_or(Duration::from_secs(3600), Stop::until_next);
        match messages.recv_timeout(wait) {
            Ok(Message::Ended(pid, status)) if pid == main => {
                code = Some(status);
                if stop.is_none() {
                    stop = Some(Stop::new(main, ORPHAN_GRACE, false));
                }
            }
            Ok(Message::Ended(..) | Message::Go) => {}
            Ok(Message::Stop) if stop.is_none() => stop = Some(Stop::new(main, grace, true)),
            Ok(Message::Stop) => {}
            Ok(Message::Alone) => break,
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => break,
        }
        if let Some(stop) = &mut stop
            && stop.advance(group)
        {
            break;
        }
    }
    code.unwrap_or(128 + Signal::SIGKILL as i32)
}

/// Becomes `command`, which gets SIGTERM when `parent` dies. `group` is the file by which it
/// enters the control group of its job, `reach` what it can reach, as JSON; everything without one.
///
/// Returns only when that is impossible.
#[must_use]
pub fn become_command(
    command: &[OsString],
    parent: i32,
    group: Option<&Path>,
    reach: Option<&str>,
) -> io::Error {
    if let Err(error) = die_with(parent) {
        return error;
    }
    if let Some(group) = group
        && let Err(error) = fs::write(group, "0")
    {
        tracing::debug!(%error, "the job stays outside of its control group");
    }
    let Some((program, arguments)) = command.split_first() else {
        return io::ErrorKind::InvalidInput.into();
    };
    if let Err(error) = hear_signals() {
        return error;
    }
    let mut command = process::inherited(program);
    if let Some(reach) = reach {
        command.env_remove(REACH);
        if let Err(error) = confined(reach) {
            return error;
        }
    }
    command.args(arguments).exec()
}

/// Confines this process and what it becomes.
fn confined(reach: &str) -> io::Result<()> {
    let reach: Reach = serde_json::from_str(reach)?;
    restrict_calls()?;
    reach.enter()
}

/// Asks the kernel for SIGTERM when the parent dies, and makes sure that it has not yet.
fn die_with(parent: i32) -> io::Result<()> {
    prctl::set_pdeathsig(Signal::SIGTERM)?;
    if getppid().as_raw() == parent {
        Ok(())
    } else {
        Err(io::Error::other("the parent process is gone"))
    }
}

/// Makes the next program hear the signals that a shell hands down as ignored to what it starts
/// in the background: what has a handler now is back at its default there.
fn hear_signals() -> io::Result<()> {
    use signal_hook::consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM};
    for signal in [SIGHUP, SIGINT, SIGQUIT, SIGTERM] {
        signal_hook::flag::register(signal, Arc::new(AtomicBool::new(false)))?;
    }
    Ok(())
}

fn watch_signals(sender: Sender<Message>) -> io::Result<()> {
    use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
    let mut signals = signal_hook::iterator::Signals::new([SIGTERM, SIGINT, SIGHUP])?;
    thread::spawn(move || {
        // A send fails only when the main thread has ended, and with it this one.
        for _ in &mut signals {
            if sender.send(Message::Stop).is_err() {
                break;
            }
        }
    });
    Ok(())
}

fn watch_input(sender: Sender<Message>) {
    thread::spawn(move || {
        let mut buffer = [0; 64];
        let mut input = io::stdin().lock();
        loop {
            match input.read(&mut buffer) {
                // Nobody listens any more when it is over, and this thread ends with the rest.
                Ok(1..) => drop(sender.send(Message::Go)),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Ok(0) | Err(_) => break,
            }
        }
        if sender.send(Message::Stop).is_err() {
            tracing::debug!("stopped already");
        }
    });
}

fn reap(sender: &Sender<Message>) {
    loop {
        let message = match waitpid(None, None) {
            Ok(WaitStatus::Exited(pid, code)) => Message::Ended(pid, code),
            Ok(WaitStatus::Signaled(pid, signal, _)) => Message::Ended(pid, 128 + signal as i32),
            Ok(_) | Err(Errno::EINTR) => continue,
            Err(_) => Message::Alone,
        };
        let last = matches!(message, Message::Alone);
        if sender.send(message).is_err() || last {
            return;
        }
    }
}

/// The steps from asking to killing.
struct Stop {
    main: Pid,
    notice_at: Option<Instant>,
    kill_at: Instant,
    give_up_at: Instant,
}

impl Stop {
    fn new(main: Pid, grace: Duration, main_lives: bool) -> Self {
        let now = Instant::now();
        if main_lives {
            send(Pid::from_raw(-main.as_raw()), Signal::SIGTERM);
        }
        // Mostly nothing is left when the command ends by itself, and that is seen at once.
        let notice = if main_lives {
            FIRST_NOTICE.min(grace)
        } else {
            ORPHAN_GRACE / 20
        };
        Self {
            main,
            notice_at: Some(now + notice),
            kill_at: now + grace,
            give_up_at: now + grace + KILL_WAIT,
        }
    }

    fn until_next(&self) -> Duration {
        let now = Instant::now();
        let next = self
            .notice_at
            .unwrap_or(self.kill_at)
            .saturating_duration_since(now);
        // Between kills it looks again often: what is killed may have forked just before.
        next.max(Duration::from_millis(20))
    }

    /// Does what is due, and says whether to stop waiting.
    fn advance(&mut self, group: Option<&JobGroup>) -> bool {
        let now = Instant::now();
        if now >= self.give_up_at {
            return true;
        }
        if now >= self.kill_at {
            if let Some(group) = group {
                group.kill();
            }
            send_to_all(Signal::SIGKILL);
        } else if self.notice_at.is_some_and(|at| now >= at) {
            self.notice_at = None;
            send_to_all(Signal::SIGTERM);
            // What is stopped does not see SIGTERM before it goes on.
            send(Pid::from_raw(-self.main.as_raw()), Signal::SIGCONT);
        }
        false
    }
}

fn send_to_all(signal: Signal) {
    match descendants(Pid::this()) {
        Ok(pids) => pids.into_iter().for_each(|pid| send(pid, signal)),
        Err(error) => tracing::error!(%error, "cannot read the process table"),
    }
}

fn send(pid: Pid, signal: Signal) {
    match signal::kill(pid, signal) {
        // It has ended by itself.
        Ok(()) | Err(Errno::ESRCH) => {}
        Err(error) => tracing::error!(%pid, %error, "cannot send a signal"),
    }
}

/// What an exit status of the supervisor says about the command: its exit code, or the signal
/// that killed the supervisor.
pub(super) fn exit_of(status: ExitStatus) -> Result<i32, i32> {
    match (status.code(), status.signal()) {
        (Some(code), _) => Ok(code),
        (None, Some(signal)) => Err(signal),
        (None, None) => Err(0),
    }
}
