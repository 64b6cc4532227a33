//! Follows one supervised process: its events, its output, its deadline, its end.

use std::io::{self, PipeReader, Read};
use std::sync::mpsc::{self, RecvTimeoutError, SyncSender};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use super::connection::Connection;
use super::guardian::{Guardian, Play, Started};
use super::invocation::Cancel;
use super::job_group;
use super::log::Transcript;
use super::spawner::Spawner;
use super::stream::{Line, read_lines};
use crate::core::event::Event;
use crate::core::outcome::ProcessEnd;

/// Events that wait for a slow reader; with it full the play waits.
const WAITING_EVENTS: usize = 64;

/// How often a request to stop is looked for.
const TICK: Duration = Duration::from_millis(100);

/// What a supervisor may take beyond its grace period before it is killed itself.
const SLACK: Duration = Duration::from_secs(10);

/// What to start and when to stop it.
pub(super) struct Run<'a> {
    pub(super) play: Play<'a>,
    pub(super) deadline: Instant,
    /// A connection that is being made; its failure ends the run.
    pub(super) opening: Option<&'a Arc<Connection>>,
}

/// What came of it.
pub(super) struct Followed {
    pub(super) end: ProcessEnd,
    pub(super) output: String,
    /// What `ssh` said when it could not connect and the run was stopped for it.
    pub(super) refused: Option<String>,
}

enum Message {
    Event(Event),
    EventsEnd,
    OutputEnd,
    Refused(String),
}

/// Starts the command and returns when it has ended.
///
/// # Errors
/// Those of making pipes and starting processes; then nothing runs.
pub(super) fn follow(
    spawner: &Spawner,
    run: &Run<'_>,
    cancel: &Cancel,
    on_start: &mut dyn FnMut(u32),
    on_event: &mut dyn FnMut(Event),
) -> io::Result<Followed> {
    let grace = run.play.grace;
    let is_stopped = || cancel.is_cancelled() || Instant::now() >= run.deadline;
    let Started {
        guardian: mut process,
        supervisor,
        events,
        output,
    } = run.play.start(spawner, &is_stopped, on_start)?;
    tracing::debug!("the play has begun");

    let (sender, messages) = mpsc::sync_channel(WAITING_EVENTS);
    let transcript = Arc::new(Mutex::new(Transcript::default()));
    read_events(events, sender.clone());
    read_output(output, Arc::clone(&transcript), sender.clone());
    // Set when this ends, so that nobody goes on waiting for the connection.
    let over = Cancel::default();
    if let Some(connection) = run.opening.map(Arc::clone) {
        let over = over.clone();
        thread::spawn(move || {
            if let Err(said) = connection.wait(&over) {
                report(&sender, Message::Refused(said));
            }
        });
    } else {
        drop(sender);
    }

    let mut state = State {
        stopped: None,
        refused: None,
        give_up: None,
        task_seen: false,
    };
    let mut open_streams = 2;
    while open_streams > 0 {
        match messages.recv_timeout(TICK) {
            Ok(Message::Event(event)) => {
                state.task_seen |= matches!(event, Event::Task(_));
                on_event(event);
            }
            Ok(Message::EventsEnd | Message::OutputEnd) => open_streams -= 1,
            Ok(Message::Refused(said)) if !state.task_seen && state.stopped.is_none() => {
                state.refused = Some(said);
                state.stop(&mut process, ProcessEnd::Cancelled, grace);
            }
            Ok(Message::Refused(_)) | Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => break,
        }
        if !state.advance(&mut process, run.deadline, cancel, grace)? {
            break;
        }
    }
    over.cancel();
    let status = process.wait_until(Instant::now() + SLACK)?;
    tracing::debug!("the play has ended");
    if !matches!(status, Some(Ok(_)))
        && let Some((pid, start)) = supervisor
    {
        end_leftovers_within(SLACK, pid, start);
    }
    let end = match (state.stopped, status) {
        (Some(end), _) => end,
        (None, Some(Ok(code))) => ProcessEnd::Exited(code),
        (None, Some(Err(signal))) => ProcessEnd::Signalled(signal),
        (None, None) => ProcessEnd::Signalled(9),
    };
    let output = transcript
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .text();
    Ok(Followed {
        end,
        output,
        refused: state.refused,
    })
}

/// Ends what a supervisor left that was killed itself.
fn end_leftovers_within(limit: Duration, supervisor: i32, start: u64) {
    let deadline = Instant::now() + limit;
    loop {
        match job_group::end_leftovers(supervisor, start) {
            Ok(true) => return,
            Ok(false) if Instant::now() < deadline => thread::sleep(Duration::from_millis(20)),
            Ok(false) => break tracing::error!("something of a job does not end"),
            Err(error) => break tracing::error!(%error, "cannot read the process table"),
        }
    }
}

struct State {
    stopped: Option<ProcessEnd>,
    refused: Option<String>,
    /// When to stop waiting for streams that something unknown keeps open.
    give_up: Option<Instant>,
    task_seen: bool,
}

impl State {
    fn stop(&mut self, process: &mut Guardian<'_>, end: ProcessEnd, grace: Duration) {
        self.stopped = Some(end);
        self.give_up = Some(Instant::now() + grace + SLACK);
        process.stop();
    }

    /// Does what is due, and says whether to go on.
    fn advance(
        &mut self,
        process: &mut Guardian<'_>,
        deadline: Instant,
        cancel: &Cancel,
        grace: Duration,
    ) -> io::Result<bool> {
        let now = Instant::now();
        if self.stopped.is_none() && cancel.is_cancelled() {
            self.stop(process, ProcessEnd::Cancelled, grace);
        } else if self.stopped.is_none() && now >= deadline {
            self.stop(process, ProcessEnd::TimedOut, grace);
        }
        match self.give_up {
            Some(at) if now >= at => {
                process.kill();
                return Ok(false);
            }
            None if process.status()?.is_some() => self.give_up = Some(now + grace + SLACK),
            Some(_) | None => {}
        }
        Ok(true)
    }
}

fn read_events(pipe: PipeReader, sender: SyncSender<Message>) {
    thread::spawn(move || {
        let result = read_lines(pipe, |line| {
            let event = match line {
                Line::Whole(bytes) => Event::parse(bytes),
                Line::TooLong(bytes) => Event::Unreadable { bytes },
            };
            report(&sender, Message::Event(event))
        });
        if let Err(error) = result {
            tracing::error!(%error, "cannot read the events of a play");
        }
        report(&sender, Message::EventsEnd);
    });
}

fn read_output(
    mut pipe: PipeReader,
    transcript: Arc<Mutex<Transcript>>,
    sender: SyncSender<Message>,
) {
    thread::spawn(move || {
        let mut buffer = vec![0; 64 * 1024];
        loop {
            match pipe.read(&mut buffer) {
                Ok(0) => break,
                Ok(count) => transcript
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .push(&buffer[..count]),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    tracing::error!(%error, "cannot read what ansible prints");
                    break;
                }
            }
        }
        report(&sender, Message::OutputEnd);
    });
}

/// Whether somebody still listens.
fn report(sender: &SyncSender<Message>, message: Message) -> bool {
    sender.send(message).is_ok()
}
