//! `/api/revisions`

use axum::extract::State;
use axum::response::Response;
use jiff::Timestamp;

use super::super::auth::Viewer;
use super::super::error::Result;
use super::super::reply;
use super::super::state::App;
use super::page::{Asked, Page, Paging, wrong_cursor};
use crate::store::{Seen, Store};

pub(in crate::web) async fn list(
    _: Viewer,
    State(app): State<App>,
    Asked(paging): Asked<Paging>,
) -> Result<Response> {
    let page = app.pool.read(move |store| read(store, &paging)).await?;
    reply::json(&page)
}

/// A page of revisions, the one seen last first.
pub(in crate::web) fn read(store: &Store, paging: &Paging) -> Result<Page<Seen>> {
    let limit = paging.limit()?;
    let place = paging.after("revisions")?;
    let before = match &place {
        None => None,
        Some(text) => {
            let (micros, id) = text.split_once(' ').ok_or_else(wrong_cursor)?;
            let micros: i64 = micros.parse().map_err(|_| wrong_cursor())?;
            let at = Timestamp::from_microsecond(micros).map_err(|_| wrong_cursor())?;
            Some((at, id))
        }
    };
    let seen = store.revisions(before, limit + 1)?;
    Ok(Page::of(seen, limit, "revisions", |seen| {
        format!(
            "{} {}",
            seen.first_seen_at.as_microsecond(),
            seen.revision.id
        )
    }))
}
