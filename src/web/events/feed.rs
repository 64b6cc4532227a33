//! One poller for each job that somebody watches.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Bytes;
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::Serialize;
use tokio::sync::{Mutex, OwnedSemaphorePermit, Semaphore, broadcast};

use super::super::address;
use super::super::auth::{Kind, Viewer};
use super::super::error::{Failure, Result};
use super::super::pool::Pool;
use super::super::throttle::{Pending, Turn};
use super::{MOST_BYTES, Place};
use crate::core::recorded::JobId;
use crate::store::{Attempt, Job, Store, TaskEvent};

/// How often a job is looked at that somebody watches.
const TICK: Duration = Duration::from_millis(400);
/// The most streams at once.
const MOST_STREAMS: usize = 512;
/// The most streams of one source, and of one user or token: half of all, so that nobody has them
/// all.
const MOST_OF_ONE: usize = MOST_STREAMS / 2;
/// Pieces that a client may be behind before it reads from the database again.
const BACKLOG: usize = 64;

/// What goes to every client of a job.
#[derive(Clone, Debug)]
pub(super) enum Piece {
    /// Tasks that ended, up to this place.
    Tasks {
        upto: Place,
        first: Place,
        bytes: Bytes,
    },
    /// The job or an attempt at it is in another state.
    State(Bytes),
    /// Nothing will happen to the job any more.
    End,
}

/// A job with its attempts, as a stream tells it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub(in crate::web) struct JobState {
    pub(in crate::web) job: Job,
    pub(in crate::web) attempts: Vec<Attempt>,
}

/// The pollers of all jobs that are watched.
#[derive(Debug)]
pub(in crate::web) struct Feeds {
    pool: Pool,
    live: Arc<Mutex<HashMap<JobId, broadcast::Sender<Piece>>>>,
    room: Arc<Semaphore>,
    held: Pending<Holder>,
}

/// Who holds a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Holder {
    Source(IpAddr),
    Viewer(Kind, [u8; 32]),
}

/// The room of one stream, free again when this is dropped.
#[derive(Debug)]
pub(super) struct Room {
    _of_all: OwnedSemaphorePermit,
    _of_holders: [Turn<Holder>; 2],
}

impl Feeds {
    pub(in crate::web) fn new(pool: Pool) -> Self {
        Self {
            pool,
            live: Arc::default(),
            room: Arc::new(Semaphore::new(MOST_STREAMS)),
            held: Pending::new(MOST_OF_ONE, 2 * MOST_STREAMS),
        }
    }

    /// Room for a stream of `viewer`, who comes from `source`.
    pub(super) fn room(&self, viewer: &Viewer, source: IpAddr) -> Result<Room> {
        let name = *blake3::hash(viewer.name.as_bytes()).as_bytes();
        let holders = [
            Holder::Source(address::party(source)),
            Holder::Viewer(viewer.kind, name),
        ];
        let [Some(of_source), Some(of_viewer)] = holders.map(|holder| self.held.begin(holder))
        else {
            return Err(Failure::too_many(
                5,
                "too many event streams are open from here",
            ));
        };
        let of_all = Arc::clone(&self.room)
            .try_acquire_owned()
            .map_err(|_| Failure::unavailable("too many event streams are open"))?;
        Ok(Room {
            _of_all: of_all,
            _of_holders: [of_source, of_viewer],
        })
    }

    /// How many streams are open.
    pub(in crate::web) fn open(&self) -> usize {
        MOST_STREAMS - self.room.available_permits()
    }

    /// What happens to a job from now on. Whoever wants all of it reads what happened before
    /// after this, and leaves out what comes twice.
    pub(super) async fn subscribe(&self, id: JobId) -> Result<broadcast::Receiver<Piece>> {
        let mut live = self.live.lock().await;
        if let Some(sender) = live.get(&id) {
            return Ok(sender.subscribe());
        }
        let (sender, receiver) = broadcast::channel(BACKLOG);
        // Known before anybody reads, so that nothing falls between.
        let (place, state) = self.pool.read(move |store| beginning(store, id)).await?;
        live.insert(id, sender.clone());
        let poller = Poller {
            pool: self.pool.clone(),
            id,
            place,
            known: state.job.updated_at,
            attempts: state.attempts.len(),
            sender,
        };
        tokio::spawn(poller.run(Arc::clone(&self.live)));
        Ok(receiver)
    }
}

struct Poller {
    pool: Pool,
    id: JobId,
    place: Place,
    known: Timestamp,
    attempts: usize,
    sender: broadcast::Sender<Piece>,
}

impl Poller {
    async fn run(mut self, live: Arc<Mutex<HashMap<JobId, broadcast::Sender<Piece>>>>) {
        loop {
            let is_over = self.look().await;
            {
                let mut live = live.lock().await;
                // Nobody can subscribe while the lock is held.
                if is_over || self.sender.receiver_count() == 0 {
                    live.remove(&self.id);
                    break;
                }
            }
            tokio::time::sleep(TICK).await;
        }
        if self.sender.receiver_count() > 0 {
            drop(self.sender.send(Piece::End));
        }
    }

    /// Sends what is new; whether nothing will come any more.
    async fn look(&mut self) -> bool {
        loop {
            let (id, place) = (self.id, self.place);
            let found = self
                .pool
                .read(move |store| {
                    let state = state(store, id)?;
                    Ok((state, store.task_events_after(id, place, 200, MOST_BYTES)?))
                })
                .await;
            let (state, events) = match found {
                Ok(found) => found,
                // Gone, or a database that cannot be read just now: the next look tells.
                Err(failure) => return failure.status == axum::http::StatusCode::NOT_FOUND,
            };
            if state.attempts.len() != self.attempts {
                self.attempts = state.attempts.len();
                self.send(Piece::State(state_bytes(&state)));
            }
            if let (Some(first), Some(last)) = (events.first(), events.last()) {
                let (first, upto) = ((first.attempt, first.seq), (last.attempt, last.seq));
                self.place = upto;
                let bytes = task_bytes(&events);
                self.send(Piece::Tasks { upto, first, bytes });
                continue;
            }
            // After its tasks, so that a failure does not end a timeline that is still growing.
            if state.job.updated_at != self.known {
                self.known = state.job.updated_at;
                self.send(Piece::State(state_bytes(&state)));
            }
            return state.job.status.is_terminal();
        }
    }

    /// It is no error when nobody is there any more.
    fn send(&self, piece: Piece) {
        drop(self.sender.send(piece));
    }
}

/// Where the events of a job end now, and its state.
fn beginning(store: &Store, id: JobId) -> Result<(Place, JobState)> {
    let state = state(store, id)?;
    let last = store.last_task_event(id)?.unwrap_or((0, 0));
    Ok((last, state))
}

pub(super) fn state(store: &Store, id: JobId) -> Result<JobState> {
    let job = store.job(id)?.ok_or_else(|| Failure::not_found("job"))?;
    let attempts = store.attempts(id)?;
    Ok(JobState { job, attempts })
}

/// The lines of a state.
pub(super) fn state_bytes(state: &JobState) -> Bytes {
    let mut text = String::from("event: state\n");
    push_data(&mut text, state);
    text.into()
}

/// The lines of tasks; the id of each is where a client goes on that comes back.
pub(super) fn task_bytes(events: &[TaskEvent]) -> Bytes {
    let mut text = String::new();
    for event in events {
        text.push_str(&format!(
            "id: {}.{}\nevent: task\n",
            event.attempt, event.seq
        ));
        push_data(&mut text, event);
    }
    text.into()
}

/// JSON has no line breaks of its own, so it is one line of data.
fn push_data(text: &mut String, value: &impl Serialize) {
    match serde_json::to_string(value) {
        Ok(json) => text.push_str(&format!("data: {json}\n\n")),
        Err(error) => {
            tracing::error!(%error, "an event cannot be written");
            text.push_str("data: null\n\n");
        }
    }
}
