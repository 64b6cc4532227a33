//! `/audit`: who did what, the newest first.

use axum::extract::State;
use axum::response::Response;
use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;

use super::super::api::audit::{Wanted, read};
use super::super::api::page::Asked;
use super::super::auth::Viewer;
use super::super::error::Result;
use super::super::state::App;
use super::Heading;
use super::parts::{Link, words, written};
use super::text::short;
use super::when::When;
use crate::clock;
use crate::core::recorded::JobId;
use crate::store::AuditEntry;

#[derive(Debug, Serialize)]
struct Audit {
    entries: Vec<Entry>,
    resource: Option<String>,
    next: Option<String>,
    /// Entries that are in closed segments, which the last page says.
    closed: Option<u64>,
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
                .filter(|(_, value)| !is_nothing(value))
                .map(|(name, value)| (words(name), brief(value)))
                .collect(),
            hash: entry.hash.to_string(),
        }
    }
}

/// Elements of a list that are named.
const NAMED: usize = 4;

fn is_nothing(value: &Value) -> bool {
    value.is_null() || value.as_array().is_some_and(Vec::is_empty)
}

/// A value in a line: of digests their beginning, of lists their first elements.
fn brief(value: &Value) -> String {
    match value {
        Value::String(text) if is_digest(text) => short(text),
        Value::Array(items) => {
            let named = items.iter().take(NAMED).map(element);
            let mut text = named.collect::<Vec<_>>().join(", ");
            if items.len() > NAMED {
                text.push_str(&format!(" and {} more", items.len() - NAMED));
            }
            text
        }
        other => written(other),
    }
}

/// What an element is about: the value of its first field that names something.
fn element(value: &Value) -> String {
    let names = ["put", "of", "remove", "facts", "remove_domain"];
    names
        .iter()
        .find_map(|name| value.get(name)?.as_str())
        .map_or_else(|| written(value), str::to_owned)
}

fn is_digest(text: &str) -> bool {
    text.len() >= 40 && text.bytes().all(|byte| byte.is_ascii_hexdigit())
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
            closed: match page.cursor {
                None => Some(store.closed_entries()?).filter(|closed| *closed > 0),
                Some(_) => None,
            },
            next: page.cursor,
        })
    });
    let heading = Heading {
        title: "Audit",
        section: "audit",
    };
    app.pages.show("audit.html", heading, &viewer, page.await?)
}
