//! `GET /api/jobs/{id}/events`: the tasks of a job as a list, or as they happen.
//!
//! One poller looks for all clients of a job and hands the same bytes to each of them; with no
//! client it ends. What a client missed it reads from the database, in pieces.

mod body;
mod feed;
mod stream;

use axum::Extension;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::header::{ACCEPT, CACHE_CONTROL, CONTENT_TYPE};
use axum::http::{HeaderMap, HeaderValue};
use axum::response::Response;
use schemars::JsonSchema;
use serde::Deserialize;

pub(super) use feed::{Feeds, JobState};

use feed::Room;

use super::address::{self, Peer};
use super::api::jobs::parse_id;
use super::api::page::{Asked, Page, Paging, wrong_cursor};
use super::auth::Viewer;
use super::error::{Failure, Result};
use super::reply;
use super::state::App;
use crate::core::recorded::JobId;
use crate::store::{Store, TaskEvent};

/// Bytes of texts in one answer or piece of a stream.
const MOST_BYTES: usize = 64 * 1024;

/// Which events are wanted, and how.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default)]
pub(super) struct Wanted {
    /// Items of the page, 50 where nothing is said.
    #[schemars(with = "u32", range(min = 1, max = 200))]
    pub(super) limit: Option<String>,
    /// Where the page begins: `cursor` of the page before.
    #[schemars(with = "String")]
    pub(super) cursor: Option<String>,
    /// Asks for server-sent events, like `Accept: text/event-stream`; an attempt and a number,
    /// such as `1.12`, begins after that task.
    #[schemars(with = "String")]
    pub(super) stream: Option<String>,
}

impl Wanted {
    fn paging(&self) -> Paging {
        Paging {
            limit: self.limit.clone(),
            cursor: self.cursor.clone(),
        }
    }
}

/// Where an event is among those of its job: attempt and number.
pub(super) type Place = (u32, u64);

pub(super) async fn show(
    viewer: Viewer,
    State(app): State<App>,
    Path(id): Path<String>,
    Asked(wanted): Asked<Wanted>,
    Extension(peer): Extension<Peer>,
    asked: HeaderMap,
) -> Result<Response> {
    let id = parse_id(&id)?;
    wanted.paging().limit()?;
    if wanted.stream.is_some() || wants_stream(&asked) {
        let after = wanted.stream.as_deref().and_then(place);
        let source = address::source(peer, &asked, app.behind_proxy);
        let room = app.feeds.room(&viewer, source)?;
        return live(viewer, app, room, id, &asked, after.unwrap_or((0, 0))).await;
    }
    let page = app.pool.read(move |store| read(store, id, &wanted)).await?;
    reply::json(&page)
}

/// A page of events, the first one first. It may be shorter than asked for where texts are long.
fn read(store: &Store, id: JobId, wanted: &Wanted) -> Result<Page<TaskEvent>> {
    let paging = wanted.paging();
    let limit = paging.limit()? as usize;
    let after = match paging.after("events")? {
        None => (0, 0),
        Some(text) => place(&text).ok_or_else(wrong_cursor)?,
    };
    if store.job(id)?.is_none() {
        return Err(Failure::not_found("job"));
    }
    let items = store.task_events_after(id, after, limit, 4 * MOST_BYTES)?;
    let cursor = match items.last() {
        Some(last) => {
            let place = (last.attempt, last.seq);
            let more = !store.task_events_after(id, place, 1, 1)?.is_empty();
            more.then(|| super::api::page::cursor("events", format!("{}.{}", place.0, place.1)))
        }
        None => None,
    };
    Ok(Page { items, cursor })
}

async fn live(
    viewer: Viewer,
    app: App,
    room: Room,
    id: JobId,
    asked: &HeaderMap,
    after: Place,
) -> Result<Response> {
    // A client that comes back knows better than its address.
    let after = asked
        .get("last-event-id")
        .and_then(|value| place(value.to_str().ok()?))
        .unwrap_or(after);
    let body = stream::open(app, viewer, room, id, after).await?;
    let mut response = Response::new(Body::new(body));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    // A proxy that gathers answers would hold events back.
    headers.insert("x-accel-buffering", HeaderValue::from_static("no"));
    Ok(response)
}

fn wants_stream(asked: &HeaderMap) -> bool {
    asked.get_all(ACCEPT).iter().any(|value| {
        value
            .to_str()
            .is_ok_and(|text| text.contains("text/event-stream"))
    })
}

/// The place that `attempt.number` names.
fn place(text: &str) -> Option<Place> {
    let (attempt, seq) = text.split_once('.')?;
    // The database counts to 2⁶³.
    let seq: u64 = seq.parse().ok().filter(|seq| *seq < 1 << 62)?;
    Some((attempt.parse().ok()?, seq))
}
