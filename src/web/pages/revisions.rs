//! `/revisions`: commits of the fleet repo and what became of them.

use axum::extract::State;
use axum::response::Response;
use jiff::Timestamp;
use serde::Serialize;

use super::super::api::page::{Asked, Paging};
use super::super::api::revisions::{Judged, judged, read};
use super::super::auth::Viewer;
use super::super::error::Result;
use super::super::state::App;
use super::Heading;
use super::parts::Revision;
use super::text::{first_line, plain};
use super::when::When;
use crate::clock;
use crate::core::job::JobStatus;
use crate::core::reconcile::Verdict;
use crate::store::{Seen, Store};

/// Places of what is wrong with one revision that are shown.
const PLACES: usize = 5;

/// Jobs of one revision that are counted.
const COUNTED: u32 = 500;

/// One revision in a list.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Line {
    revision: Revision,
    message: Option<String>,
    author: Option<String>,
    committed: Option<When>,
    seen: When,
    dirty: bool,
    /// Whether the fleet is kept like it.
    in_force: bool,
    fault: Option<Fault>,
    succeeded: usize,
    failed: usize,
    open: usize,
    cancelled: usize,
}

/// Why a revision is not in force.
#[derive(Clone, Debug, Serialize)]
struct Fault {
    /// The word of its verdict.
    word: &'static str,
    message: String,
    /// What is wrong where, and what to do.
    places: Vec<Place>,
    /// How many are not listed.
    more: usize,
}

/// What is wrong with a document.
#[derive(Clone, Debug, Serialize)]
struct Place {
    /// File and line.
    at: String,
    message: String,
    hint: Option<String>,
}

#[derive(Debug, Serialize)]
struct Revisions {
    lines: Vec<Line>,
    next: Option<String>,
}

pub(in crate::web) async fn show(
    viewer: Viewer,
    State(app): State<App>,
    Asked(paging): Asked<Paging>,
) -> Result<Response> {
    let now = clock::now();
    let page = app.pool.read(move |store| {
        let page = read(store, &paging)?;
        Ok(Revisions {
            lines: lines(store, page.items, now)?,
            next: page.cursor,
        })
    });
    let heading = Heading {
        title: "Revisions",
        section: "revisions",
    };
    app.pages
        .show("revisions.html", heading, &viewer, page.await?)
}

/// The newest revisions, at most `limit`.
pub(super) fn newest(store: &Store, limit: u32, now: Timestamp) -> Result<Vec<Line>> {
    lines(store, judged(store, store.revisions(None, limit)?)?, now)
}

/// Revisions with what became of their jobs.
fn lines(store: &Store, judged: Vec<Judged>, now: Timestamp) -> Result<Vec<Line>> {
    let lines = judged.into_iter().map(|judged| line(store, judged, now));
    lines.collect()
}

fn line(store: &Store, judged: Judged, now: Timestamp) -> Result<Line> {
    let fault = fault(&judged);
    let in_force = judged.in_force;
    let Seen {
        revision,
        first_seen_at,
    } = judged.seen;
    let jobs = store.jobs_of_revision(&revision.id, COUNTED)?;
    let count = |wanted: &[JobStatus]| {
        jobs.iter()
            .filter(|job| wanted.contains(&job.status))
            .count()
    };
    Ok(Line {
        revision: Revision::new(&revision.id),
        message: revision.message.as_deref().map(first_line),
        author: revision.author.as_deref().map(author),
        committed: When::option(revision.committed_at, now),
        seen: When::new(first_seen_at, now),
        dirty: revision.dirty,
        in_force,
        fault,
        succeeded: count(&[JobStatus::Succeeded]),
        failed: count(&[JobStatus::Failed]),
        open: count(&[JobStatus::Queued, JobStatus::Running, JobStatus::Unknown]),
        cancelled: count(&[JobStatus::Cancelled]),
    })
}

fn fault(judged: &Judged) -> Option<Fault> {
    let word = judged
        .verdict
        .filter(|word| *word != Verdict::Accepted.as_str())?;
    let places: Vec<Place> = judged
        .diagnostics
        .iter()
        .take(PLACES)
        .map(|wrong| Place {
            at: match wrong.line {
                0 => plain(&wrong.file),
                line => format!("{}:{line}", plain(&wrong.file)),
            },
            message: first_line(&wrong.message),
            hint: wrong.hint.as_deref().map(first_line),
        })
        .collect();
    let message = match (&judged.refused, places.first()) {
        (Some(refused), _) => first_line(refused),
        (None, Some(first)) => format!("{}: {}", first.at, first.message),
        (None, None) if word == Verdict::Superseded.as_str() => {
            "a newer one came before it was looked at".to_owned()
        }
        (None, None) => "its documents have errors".to_owned(),
    };
    Some(Fault {
        word,
        message,
        more: judged.diagnostics_total - places.len(),
        places,
    })
}

/// The name of `Name <address>`.
pub(super) fn author(text: &str) -> String {
    first_line(text.split(" <").next().unwrap_or(text))
}
