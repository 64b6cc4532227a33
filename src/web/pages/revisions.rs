//! `/revisions`: commits of the fleet repo and what became of them.

use axum::extract::State;
use axum::response::Response;
use jiff::Timestamp;
use serde::Serialize;

use super::super::api::page::{Asked, Paging};
use super::super::api::revisions::read;
use super::super::auth::Viewer;
use super::super::error::Result;
use super::super::state::App;
use super::Heading;
use super::parts::Revision;
use super::text::first_line;
use super::when::When;
use crate::clock;
use crate::core::job::JobStatus;
use crate::store::{Seen, Store};

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
    succeeded: usize,
    failed: usize,
    open: usize,
    cancelled: usize,
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
            lines: lines(store, &page.items, now)?,
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

/// Revisions with what became of their jobs.
pub(super) fn lines(store: &Store, seen: &[Seen], now: Timestamp) -> Result<Vec<Line>> {
    seen.iter().map(|seen| line(store, seen, now)).collect()
}

fn line(store: &Store, seen: &Seen, now: Timestamp) -> Result<Line> {
    let revision = &seen.revision;
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
        seen: When::new(seen.first_seen_at, now),
        dirty: revision.dirty,
        succeeded: count(&[JobStatus::Succeeded]),
        failed: count(&[JobStatus::Failed]),
        open: count(&[JobStatus::Queued, JobStatus::Running, JobStatus::Unknown]),
        cancelled: count(&[JobStatus::Cancelled]),
    })
}

/// The name of `Name <address>`.
pub(super) fn author(text: &str) -> String {
    first_line(text.split(" <").next().unwrap_or(text))
}
