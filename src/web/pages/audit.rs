//! `/audit`: who did what, the newest first.

use axum::extract::State;
use axum::response::Response;
use jiff::Timestamp;
use serde::Serialize;

use super::super::api::audit::{Wanted, read};
use super::super::api::page::Asked;
use super::super::auth::Viewer;
use super::super::error::Result;
use super::super::state::App;
use super::Heading;
use super::parts::{Link, words, written};
use super::when::When;
use crate::clock;
use crate::core::recorded::JobId;
use crate::store::AuditEntry;

#[derive(Debug, Serialize)]
struct Audit {
    entries: Vec<Entry>,
    resource: Option<String>,
    next: Option<String>,
}

#[derive(Debug, Serialize)]
struct Entry {
    seq: u64,
    at: When,
    actor: String,
    action: String,
    resource: Option<Link>,
    job: Option<JobId>,
    detail: Vec<(String, String)>,
    hash: String,
}

impl Entry {
    fn new(entry: &AuditEntry, now: Timestamp) -> Self {
        let detail = entry.detail.as_object().into_iter().flatten();
        Self {
            seq: entry.seq,
            at: When::new(entry.at, now),
            actor: entry.actor.clone(),
            action: words(entry.action.as_str()),
            resource: entry.resource.as_ref().map(Link::to),
            job: entry.job,
            detail: detail
                .filter(|(_, value)| !value.is_null())
                .map(|(name, value)| (words(name), written(value)))
                .collect(),
            hash: entry.hash.to_string(),
        }
    }
}

pub(in crate::web) async fn show(
    viewer: Viewer,
    State(app): State<App>,
    Asked(wanted): Asked<Wanted>,
) -> Result<Response> {
    let now = clock::now();
    let page = app.pool.read(move |store| {
        let page = read(store, &wanted)?;
        Ok(Audit {
            entries: page
                .items
                .iter()
                .map(|entry| Entry::new(entry, now))
                .collect(),
            resource: wanted.resource.filter(|resource| !resource.is_empty()),
            next: page.cursor,
        })
    });
    let heading = Heading {
        title: "Audit",
        section: "audit",
    };
    app.pages.show("audit.html", heading, &viewer, page.await?)
}
