//! `/api/audit`

use axum::extract::State;
use axum::response::Response;
use schemars::JsonSchema;
use serde::Deserialize;

use super::super::auth::Viewer;
use super::super::error::Result;
use super::super::reply;
use super::super::state::App;
use super::page::{Asked, Page, Paging, value};
use crate::core::audit::AuditAction;
use crate::core::id::ResourceId;
use crate::core::recorded::JobId;
use crate::store::{AuditEntry, AuditFilter, Store};

/// Which entries are wanted.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default)]
pub(in crate::web) struct Wanted {
    /// Only entries about this resource.
    #[schemars(with = "ResourceId")]
    pub(in crate::web) resource: Option<String>,
    /// Only entries about this job.
    #[schemars(with = "JobId")]
    pub(in crate::web) job: Option<String>,
    /// Only entries of this kind.
    #[schemars(with = "AuditAction")]
    pub(in crate::web) action: Option<String>,
    /// Items of the page, 50 where nothing is said.
    #[schemars(with = "u32", range(min = 1, max = 200))]
    pub(in crate::web) limit: Option<String>,
    /// Where the page begins: `cursor` of the page before.
    #[schemars(with = "String")]
    pub(in crate::web) cursor: Option<String>,
}

pub(in crate::web) async fn list(
    _: Viewer,
    State(app): State<App>,
    Asked(wanted): Asked<Wanted>,
) -> Result<Response> {
    let page = app.pool.read(move |store| read(store, &wanted)).await?;
    reply::json(&page)
}

/// A page of the audit record, the newest entry first.
pub(in crate::web) fn read(store: &Store, wanted: &Wanted) -> Result<Page<AuditEntry>> {
    let paging = Paging {
        limit: wanted.limit.clone(),
        cursor: wanted.cursor.clone(),
    };
    let limit = paging.limit()?;
    let filter = AuditFilter {
        resource: value("resource", wanted.resource.as_deref())?,
        job: value("job", wanted.job.as_deref())?,
        action: value("action", wanted.action.as_deref())?,
        before: paging.after_number("audit")?,
        limit: limit + 1,
    };
    let entries = store.audit_entries(&filter)?;
    Ok(Page::of(entries, limit, "audit", |entry| {
        entry.seq.to_string()
    }))
}
