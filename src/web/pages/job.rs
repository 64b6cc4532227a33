//! `/jobs/{id}`: one job with the timeline of its tasks.

use axum::extract::{Path, State};
use axum::response::Response;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::super::api::jobs::{JobDetail, detail, parse_id};
use super::super::api::page::Asked;
use super::super::auth::Viewer;
use super::super::error::Result;
use super::super::state::App;
use super::Heading;
use super::parts::{Row, written};
use super::text::plain;
use super::when::{When, span, took};
use crate::clock;
use crate::core::event::TaskStatus;
use crate::core::outcome::hint;
use crate::core::recorded::JobId;
use crate::store::{Attempt, Store, TaskEvent};

/// Tasks of one page.
const TASKS: usize = 500;
/// Bytes of the texts of one page.
const MOST_BYTES: usize = 2 * 1024 * 1024;

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(in crate::web) struct Wanted {
    /// Attempt and number of the task before the first one, such as `1.500`.
    from: Option<String>,
}

#[derive(Debug, Serialize)]
struct Page {
    row: Row,
    max_attempts: u32,
    finished: Option<When>,
    error: Option<Error>,
    changes: Vec<Change>,
    after: Vec<JobId>,
    attempts: Vec<Try>,
    /// Whether there are tasks before the first one that is shown.
    has_earlier: bool,
    /// Where the tasks go on.
    next: Option<String>,
    /// The last task that is shown: where a live page goes on.
    place: String,
    is_live: bool,
    /// Whether an attempt runs at this moment.
    is_running: bool,
}

#[derive(Debug, Serialize)]
struct Error {
    code: &'static str,
    message: String,
    hint: &'static str,
}

#[derive(Debug, Serialize)]
struct Change {
    /// Whose field it is, at the first of those of another resource than the job's.
    resource: Option<String>,
    path: String,
    before: String,
    after: String,
}

/// One attempt.
#[derive(Debug, Serialize)]
struct Try {
    number: u32,
    /// The word for how it ended, or `running`.
    outcome: &'static str,
    started: When,
    took: String,
    error_code: Option<&'static str>,
    /// Said only where it is not what the job itself says.
    message: Option<String>,
    dropped: u64,
    tasks: Vec<Task>,
}

#[derive(Debug, Serialize)]
struct Task {
    place: String,
    name: String,
    status: &'static str,
    at: String,
    took: String,
    /// How long it took against the longest one, from 1 to 100.
    share: u32,
    message: Option<String>,
    diff: Option<Vec<DiffLine>>,
}

#[derive(Debug, Serialize)]
struct DiffLine {
    /// `add`, `del`, `at` or nothing.
    kind: &'static str,
    text: String,
}

pub(in crate::web) async fn show(
    viewer: Viewer,
    State(app): State<App>,
    Path(id): Path<String>,
    Asked(wanted): Asked<Wanted>,
) -> Result<Response> {
    let id = parse_id(&id)?;
    let now = clock::now();
    let page = app
        .pool
        .read(move |store| page(store, id, wanted.from.as_deref(), now))
        .await?;
    let title = format!("{} {}", page.row.what, page.row.resource.id);
    let heading = Heading {
        title: &title,
        section: "jobs",
    };
    app.pages.show("job.html", heading, &viewer, page)
}

fn page(store: &Store, id: JobId, from: Option<&str>, now: Timestamp) -> Result<Page> {
    let JobDetail {
        job,
        changes,
        after,
        attempts,
    } = detail(store, id)?;
    let begin = match from.and_then(place) {
        Some(place) => place,
        None => latest(store, id)?,
    };
    let mut events = store.task_events_after(id, begin, TASKS + 1, MOST_BYTES)?;
    let has_more = events.len() > TASKS;
    events.truncate(TASKS);
    let last = events
        .last()
        .map_or(begin, |event| (event.attempt, event.seq));
    let cut = !has_more && !store.task_events_after(id, last, 1, 1)?.is_empty();
    let has_more = has_more || cut;
    let place = format!("{}.{}", last.0, last.1);
    let longest = events
        .iter()
        .filter_map(|event| event.seconds)
        .fold(0.5, f64::max);
    let error = job.error_code.map(|code| Error {
        code: code.as_str(),
        message: plain(job.error_message.as_deref().unwrap_or_default()),
        hint: hint(code),
    });
    let tries = attempts
        .iter()
        .map(|attempt| attempt_of(attempt, &events, longest, job.error_message.as_deref(), now))
        .collect();
    Ok(Page {
        row: Row::new(&job, now),
        max_attempts: job.max_attempts,
        finished: When::option(job.finished_at, now),
        error,
        changes: changes
            .iter()
            .enumerate()
            .map(|(index, change)| Change {
                resource: change
                    .resource
                    .as_ref()
                    .filter(|of| index == 0 || changes[index - 1].resource.as_ref() != Some(of))
                    .map(ToString::to_string),
                path: plain(&change.path),
                before: written(&change.before),
                after: written(&change.after),
            })
            .collect(),
        after,
        is_running: attempts.iter().any(|attempt| attempt.outcome.is_none()),
        attempts: tries,
        has_earlier: begin != (0, 0),
        next: has_more.then(|| place.clone()),
        is_live: !job.status.is_terminal() && !has_more,
        place,
    })
}

/// Where the last tasks of a job begin: the first one where all of them fit on a page.
fn latest(store: &Store, id: JobId) -> Result<(u32, u64)> {
    let Some((attempt, seq)) = store.last_task_event(id)? else {
        return Ok((0, 0));
    };
    if store
        .task_events_after(id, (0, 0), TASKS + 1, MOST_BYTES)?
        .len()
        <= TASKS
    {
        return Ok((0, 0));
    }
    Ok((attempt, seq.saturating_sub(TASKS as u64 - 100)))
}

fn attempt_of(
    attempt: &Attempt,
    events: &[TaskEvent],
    longest: f64,
    said: Option<&str>,
    now: Timestamp,
) -> Try {
    Try {
        number: attempt.number,
        outcome: attempt
            .outcome
            .map_or("running", |outcome| outcome.as_str()),
        started: When::new(attempt.started_at, now),
        took: took(Some(attempt.started_at), attempt.finished_at, now),
        error_code: attempt.error_code.map(|code| code.as_str()),
        message: attempt
            .error_message
            .as_deref()
            .filter(|message| Some(*message) != said)
            .map(plain),
        dropped: attempt.events_dropped,
        tasks: events
            .iter()
            .filter(|event| event.attempt == attempt.number)
            .map(|event| task(event, longest))
            .collect(),
    }
}

fn task(event: &TaskEvent, longest: f64) -> Task {
    let seconds = event.seconds.unwrap_or_default();
    let is_bad = matches!(
        event.status,
        TaskStatus::Failed | TaskStatus::Unreachable | TaskStatus::Ignored
    );
    Task {
        place: format!("{}.{}", event.attempt, event.seq),
        name: plain(&event.task),
        status: event.status.as_str(),
        at: event.at.strftime("%H:%M:%S").to_string(),
        took: event.seconds.map(span).unwrap_or_default(),
        share: ((seconds / longest * 100.0).round() as u32).clamp(1, 100),
        message: event
            .message
            .as_deref()
            .filter(|text| is_bad && !text.trim().is_empty())
            .map(plain),
        diff: event
            .diff
            .as_deref()
            .filter(|text| !text.trim().is_empty())
            .map(|text| text.lines().map(diff_line).collect()),
    }
}

fn diff_line(line: &str) -> DiffLine {
    let kind = match line.as_bytes() {
        [b'+', b'+', b'+', ..] | [b'-', b'-', b'-', ..] => "file",
        [b'+', ..] => "add",
        [b'-', ..] => "del",
        [b'@', ..] => "at",
        _ => "",
    };
    DiffLine {
        kind,
        text: plain(line),
    }
}

fn place(text: &str) -> Option<(u32, u64)> {
    let (attempt, seq) = text.split_once('.')?;
    Some((
        attempt.parse().ok()?,
        seq.parse().ok().filter(|seq| *seq < 1 << 62)?,
    ))
}
