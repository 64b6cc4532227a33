//! `/api/revisions`

use axum::extract::State;
use axum::response::Response;
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::super::auth::Viewer;
use super::super::error::Result;
use super::super::reply;
use super::super::state::App;
use super::page::{Asked, Page, Paging, wrong_cursor};
use crate::core::reconcile::Verdict;
use crate::store::{Seen, Sighting, Store};

/// Diagnostics of one revision that are told.
const DIAGNOSTICS: usize = 20;

/// A revision and what became of it.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub(in crate::web) struct Judged {
    #[serde(flatten)]
    pub(in crate::web) seen: Seen,
    /// Whether it is the one that the fleet is kept like.
    pub(in crate::web) in_force: bool,
    /// `accepted`, `invalid`, `refused` or `superseded`; null where nobody followed the fleet repo when it was seen.
    pub(in crate::web) verdict: Option<&'static str>,
    /// Why it is not trusted.
    pub(in crate::web) refused: Option<String>,
    /// What is wrong with its documents, at most 20.
    pub(in crate::web) diagnostics: Vec<Wrong>,
    /// How many are recorded, which are 200 at most.
    pub(in crate::web) diagnostics_total: usize,
}

/// Something that is wrong with a document.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub(in crate::web) struct Wrong {
    pub(in crate::web) file: String,
    /// From 1; 0 where it is about the whole file.
    pub(in crate::web) line: u64,
    pub(in crate::web) code: String,
    pub(in crate::web) message: String,
    pub(in crate::web) hint: Option<String>,
}

impl Judged {
    /// The revision with what is known of it.
    pub(in crate::web) fn of(store: &Store, seen: Seen, in_force: Option<&str>) -> Result<Self> {
        let id = seen.revision.id.as_str();
        let is_in_force = in_force == Some(id);
        let sighting = store.sighting_of(id)?;
        let verdict = sighting.as_ref().map(|sighting| sighting.verdict);
        let all = sighting.as_ref().map(wrong).unwrap_or_default();
        let refused = sighting.and_then(|sighting| sighting.refused);
        Ok(Self {
            in_force: is_in_force,
            verdict: verdict.map(Verdict::as_str),
            refused: refused.map(|refused| refused.message),
            diagnostics_total: all.len(),
            diagnostics: all.into_iter().take(DIAGNOSTICS).collect(),
            seen,
        })
    }
}

/// The errors of a sighting.
fn wrong(sighting: &Sighting) -> Vec<Wrong> {
    let all = sighting.diagnostics.as_array().into_iter().flatten();
    let errors = all.filter(|one| one["severity"] == "error");
    errors
        .filter_map(|one| Wrong::deserialize(one).ok())
        .collect()
}

pub(in crate::web) async fn list(
    _: Viewer,
    State(app): State<App>,
    Asked(paging): Asked<Paging>,
) -> Result<Response> {
    let page = app.pool.read(move |store| read(store, &paging)).await?;
    reply::json(&page)
}

/// A page of revisions, the one seen last first.
pub(in crate::web) fn read(store: &Store, paging: &Paging) -> Result<Page<Judged>> {
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
    let judged = judged(store, seen)?;
    Ok(Page::of(judged, limit, "revisions", |judged| {
        let seen = &judged.seen;
        format!(
            "{} {}",
            seen.first_seen_at.as_microsecond(),
            seen.revision.id
        )
    }))
}

/// Revisions with what became of each.
pub(in crate::web) fn judged(store: &Store, seen: Vec<Seen>) -> Result<Vec<Judged>> {
    let in_force = store.repository()?.and_then(|known| known.accepted);
    let of = |seen| Judged::of(store, seen, in_force.as_deref());
    seen.into_iter().map(of).collect()
}
