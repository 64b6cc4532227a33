//! Renders templates of the fleet repo: each in a process of its own with bounds of time, memory
//! and length. The engine counts steps, but one step may double a text, and what has no memory left
//! aborts: that must not be whoever works on other jobs.
//!
//! The process gets its request, which may hold secrets, on its standard input and has no
//! environment. Its end says nothing about this process.

use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, ExitStatus, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use nix::libc;
use rustix::process::{DumpableBehavior, Resource, Rlimit, Signal};

use crate::ansible;
use crate::core::tree::{RenderAnswer, RenderError, RenderRequest};
use crate::process;

/// How long one file may take, waiting for the processor included.
const DEADLINE: Duration = Duration::from_secs(10);

/// How long it may compute.
const SECONDS: u64 = 5;

/// How much memory it may have.
const MEMORY: u64 = 256 << 20;

/// What it may map, its program and what the allocator keeps for later included.
const ADDRESS_SPACE: u64 = 2 << 30;

/// The longest request and the longest answer: a file of 1 MiB in which every byte is escaped.
const LONGEST_MESSAGE: u64 = 64 << 20;
const LONGEST_ANSWER: u64 = 8 << 20;

/// Renders one template in a process of its own.
///
/// # Errors
/// [`RenderError`], which names the bound that was passed.
pub fn render_in_bounds(request: &RenderRequest) -> Result<String, RenderError> {
    let failed = |error: io::Error| RenderError::Template {
        template: request.template.clone(),
        line: None,
        reason: format!("its process cannot be started: {error}"),
    };
    let message = serde_json::to_vec(request).map_err(io::Error::other);
    let message = message.map_err(failed)?;
    let mut child = process::bare("/proc/self/exe")
        .arg0("pressluft")
        .arg("render")
        // What the allocator takes in advance would count as memory of the template.
        .env("MIMALLOC_ARENA_RESERVE", "0")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        // A Ctrl-C at the terminal is for Pressluft.
        .process_group(0)
        .spawn()
        .map_err(failed)?;
    let answer = exchange(&mut child, &message);
    // Whatever it still does is not wanted any more.
    child.kill().map_err(failed)?;
    let status = child.wait().map_err(failed)?;
    match answer {
        Some(answer) => match serde_json::from_slice::<RenderAnswer>(&answer) {
            Ok(answer) => request.accept(answer),
            Err(_) => Err(request.too_expensive(&cause(status))),
        },
        None => Err(request.too_expensive(&format!("it takes more than {} s", DEADLINE.as_secs()))),
    }
}

/// Sends the request and reads the answer, or none when that takes too long.
fn exchange(child: &mut Child, message: &[u8]) -> Option<Vec<u8>> {
    let (mut input, output) = (child.stdin.take()?, child.stdout.take()?);
    let (sender, answer) = mpsc::channel();
    thread::scope(|scope| {
        scope.spawn(move || {
            // One that ends early does not read; how it ended says more than this error.
            drop(input.write_all(message));
            drop(input);
            let mut bytes = Vec::new();
            drop(output.take(LONGEST_ANSWER).read_to_end(&mut bytes));
            drop(sender.send(bytes));
        });
        match answer.recv_timeout(DEADLINE) {
            Ok(bytes) => Some(bytes),
            Err(_) => {
                // Its pipes close with it, and the thread ends.
                drop(child.kill());
                None
            }
        }
    })
}

/// Which bound ended a process that gave no answer.
fn cause(status: ExitStatus) -> String {
    match status.signal() {
        Some(libc::SIGXCPU) => format!("it takes more than {SECONDS} s"),
        Some(libc::SIGABRT) => format!("it takes more than {} MiB of memory", MEMORY >> 20),
        Some(libc::SIGSEGV | libc::SIGBUS) => "it is nested too deeply".to_owned(),
        Some(signal) => format!("its process was ended by signal {signal}"),
        None => "its process gave no answer".to_owned(),
    }
}

/// The process itself: bounds itself, reads a request from `input`, writes the answer to `output`.
///
/// # Errors
/// When the bounds cannot be set, or one of the two cannot be used.
pub fn render_one(input: impl Read, mut output: impl Write) -> io::Result<()> {
    confine()?;
    let mut message = Vec::new();
    input.take(LONGEST_MESSAGE).read_to_end(&mut message)?;
    let request: RenderRequest =
        serde_json::from_slice(&message).map_err(|_| io::Error::from(ErrorKind::InvalidData))?;
    drop(message);
    serde_json::to_writer(&mut output, &request.render())?;
    output.flush()
}

/// Takes from this process what rendering needs not, for good.
fn confine() -> io::Result<()> {
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?;
    rustix::thread::set_no_new_privs(true)?;
    rustix::process::set_dumpable_behavior(DumpableBehavior::NotDumpable)?;
    for (resource, most) in [
        (Resource::Data, MEMORY),
        (Resource::As, ADDRESS_SPACE),
        (Resource::Cpu, SECONDS),
        (Resource::Fsize, 0),
        (Resource::Core, 0),
        (Resource::Nofile, 16),
    ] {
        let limit = Rlimit {
            current: Some(most),
            maximum: Some(most),
        };
        rustix::process::setrlimit(resource, limit)?;
    }
    // A hole in the engine finds no file and no socket behind it.
    ansible::confine_to_nothing()
}
