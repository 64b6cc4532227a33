//! The tasks of an attempt as they happened, bounded whatever a node prints.

use super::super::sql::{Connection, Row, params};
use jiff::Timestamp;
use serde::de::IntoDeserializer;
use serde::de::value::{Error, StrDeserializer};
use serde::{Deserialize, Serialize};

use super::super::Store;
use super::super::convert::{corrupt, get, moment, signed, unsigned};
use super::super::error::Result;
use crate::core::event::TaskStatus;
use crate::core::recorded::JobId;
use crate::crash_point::reach;

/// The most bytes of one diff or message that are kept.
const LONGEST_TEXT: usize = 64 * 1024;
/// The most events of one attempt that are kept.
const MOST_EVENTS: u64 = 20_000;

/// One task that ended.
#[derive(Clone, Debug, PartialEq)]
pub struct NewTaskEvent {
    pub at: Timestamp,
    pub task: String,
    pub status: TaskStatus,
    pub seconds: Option<f64>,
    pub diff: Option<String>,
    pub message: Option<String>,
}

/// One recorded task.
#[derive(Clone, Debug, PartialEq, Serialize, schemars::JsonSchema)]
pub struct TaskEvent {
    pub attempt: u32,
    /// From 1 in each attempt.
    pub seq: u64,
    pub at: Timestamp,
    pub task: String,
    pub status: TaskStatus,
    pub seconds: Option<f64>,
    pub diff: Option<String>,
    pub message: Option<String>,
}

impl Store {
    /// Appends events to the running attempt of a job. Too long texts are cut, too many
    /// events are counted and not kept.
    ///
    /// # Errors
    /// [`super::super::StoreError::Stale`] when the job is no longer held with `token`.
    pub fn append_events(
        &mut self,
        job: JobId,
        token: u64,
        events: &[NewTaskEvent],
        now: Timestamp,
    ) -> Result<()> {
        if events.is_empty() {
            return Ok(());
        }
        self.fenced(job, token, "events", now, |tx| {
            insert(tx, job, token, events)
        })
    }

    /// The events of all attempts at a job, in order.
    ///
    /// # Errors
    /// When the database fails or holds an event that cannot be read.
    pub fn task_events(&self, job: JobId) -> Result<Vec<TaskEvent>> {
        let mut statement = self
            .connection
            .prepare_cached("SELECT * FROM task_events WHERE job = ?1 ORDER BY attempt, seq")?;
        let rows = statement.query_and_then([job.to_string()], read)?;
        rows.collect()
    }

    /// Events of a job after the one with this attempt and number, in order: at most `most`, and
    /// no more once their texts have `bytes` together.
    ///
    /// # Errors
    /// When the database fails or holds an event that cannot be read.
    pub fn task_events_after(
        &self,
        job: JobId,
        after: (u32, u64),
        most: usize,
        bytes: usize,
    ) -> Result<Vec<TaskEvent>> {
        let mut statement = self.connection.prepare_cached(
            "SELECT * FROM task_events WHERE job = ?1 AND (attempt, seq) > (?2, ?3)
             ORDER BY attempt, seq",
        )?;
        let mut rows = statement.query(params![job.to_string(), after.0, signed(after.1)])?;
        let mut events: Vec<TaskEvent> = Vec::new();
        let mut taken = 0;
        while events.len() < most
            && taken < bytes
            && let Some(row) = rows.next()?
        {
            let event = read(row)?;
            let length = |text: &Option<String>| text.as_ref().map_or(0, String::len);
            taken += event.task.len() + length(&event.diff) + length(&event.message);
            events.push(event);
        }
        Ok(events)
    }

    /// Attempt and number of the last event of a job, or none.
    ///
    /// # Errors
    /// When the database fails.
    pub fn last_task_event(&self, job: JobId) -> Result<Option<(u32, u64)>> {
        self.connection
            .prepare_cached(
                "SELECT attempt, seq FROM task_events WHERE job = ?1
                 ORDER BY attempt DESC, seq DESC LIMIT 1",
            )?
            .query_and_then([job.to_string()], |row| {
                Ok((get(row, "attempt")?, unsigned(row, "seq")?))
            })?
            .next()
            .transpose()
    }
}

fn read(row: &Row<'_>) -> Result<TaskEvent> {
    Ok(TaskEvent {
        attempt: get(row, "attempt")?,
        seq: unsigned(row, "seq")?,
        at: moment(row, "at")?,
        task: get(row, "task")?,
        status: status(row.get_ref("status")?.as_str().map_err(corrupt)?)?,
        seconds: get(row, "seconds")?,
        diff: get(row, "diff")?,
        message: get(row, "message")?,
    })
}

fn status(word: &str) -> Result<TaskStatus> {
    let word: StrDeserializer<'_, Error> = word.into_deserializer();
    TaskStatus::deserialize(word).map_err(corrupt)
}

fn insert(tx: &Connection, job: JobId, token: u64, events: &[NewTaskEvent]) -> Result<()> {
    let job = job.to_string();
    let (attempt, before) = tx
        .prepare_cached("SELECT number, events FROM attempts WHERE token = ?1")?
        .query_row([signed(token)], |row| {
            Ok((row.get::<_, u32>(0)?, row.get::<_, i64>(1)?))
        })?;
    let before = before.unsigned_abs();
    reach("events: begun");
    let kept = usize::try_from(MOST_EVENTS.saturating_sub(before)).unwrap_or(usize::MAX);
    let kept = events.len().min(kept);
    for (seq, event) in (before + 1..).zip(&events[..kept]) {
        tx.prepare_cached(
            "INSERT INTO task_events (job, attempt, seq, at, task, status, seconds, diff, message)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
        )?
        .execute(params![
            job,
            attempt,
            signed(seq),
            event.at.as_microsecond(),
            cut(&event.task),
            event.status.as_str(),
            event.seconds,
            event.diff.as_deref().map(cut),
            event.message.as_deref().map(cut),
        ])?;
        reach("events: one inserted");
    }
    tx.prepare_cached(
        "UPDATE attempts SET events = events + ?2, events_dropped = events_dropped + ?3
         WHERE token = ?1",
    )?
    .execute(params![
        signed(token),
        kept as i64,
        (events.len() - kept) as i64
    ])?;
    reach("events: counted");
    Ok(())
}

/// The first [`LONGEST_TEXT`] bytes of a text, cut between characters.
fn cut(text: &str) -> &str {
    let mut end = text.len().min(LONGEST_TEXT);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}
