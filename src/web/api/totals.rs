//! `/api/metrics`: the figures of the overview.

use axum::extract::State;
use axum::response::Response;
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::Serialize;

use super::super::auth::Viewer;
use super::super::error::Result;
use super::super::reply;
use super::super::state::App;
use crate::clock;
use crate::core::id::ResourceKind;
use crate::core::job::JobStatus;
use crate::core::recorded::ResourceStatus;
use crate::store::{HistorySize, Pause, Store};

/// How much there is of everything. Jobs that history took away are counted, too.
#[derive(Clone, Debug, Default, PartialEq, Serialize, JsonSchema)]
pub(in crate::web) struct Totals {
    pub(in crate::web) jobs_queued: u64,
    /// Jobs that run, and those of which nobody knows whether they still do.
    pub(in crate::web) jobs_running: u64,
    pub(in crate::web) jobs_succeeded: u64,
    pub(in crate::web) jobs_failed: u64,
    pub(in crate::web) jobs_cancelled: u64,
    /// Seconds since the oldest queued job was queued; 0 when there is none.
    pub(in crate::web) queue_oldest_seconds: f64,
    pub(in crate::web) nodes_total: u64,
    pub(in crate::web) nodes_active: u64,
    /// Nodes that jobs wait for because they do not answer.
    pub(in crate::web) nodes_unreachable: u64,
    pub(in crate::web) sites_total: u64,
    pub(in crate::web) sites_failed: u64,
    pub(in crate::web) environments_total: u64,
    pub(in crate::web) environments_failed: u64,
    /// Why no job starts, if none does.
    pub(in crate::web) paused: Option<Pause>,
    /// How much of the past there is, and how it grows.
    pub(in crate::web) history: HistorySize,
}

pub(in crate::web) async fn show(_: Viewer, State(app): State<App>) -> Result<Response> {
    let now = clock::now();
    let totals = app.pool.read(move |store| read(store, now)).await?;
    reply::json(&totals)
}

/// The figures as they are at `now`.
pub(in crate::web) fn read(store: &Store, now: Timestamp) -> Result<Totals> {
    let mut totals = Totals::default();
    for (status, _, jobs) in store.job_totals_ever()? {
        let field = match status {
            JobStatus::Queued => &mut totals.jobs_queued,
            JobStatus::Running | JobStatus::Unknown => &mut totals.jobs_running,
            JobStatus::Succeeded => &mut totals.jobs_succeeded,
            JobStatus::Failed => &mut totals.jobs_failed,
            JobStatus::Cancelled => &mut totals.jobs_cancelled,
        };
        *field += jobs;
    }
    for (kind, status, count) in store.resource_totals()? {
        let failed = if status == ResourceStatus::Failed {
            count
        } else {
            0
        };
        match kind {
            ResourceKind::Fleet => {}
            ResourceKind::Node => {
                totals.nodes_total += count;
                if status == ResourceStatus::Active {
                    totals.nodes_active += count;
                }
            }
            ResourceKind::Site => {
                totals.sites_total += count;
                totals.sites_failed += failed;
            }
            ResourceKind::Env => {
                totals.environments_total += count;
                totals.environments_failed += failed;
            }
        }
    }
    let away = store.unreachable_nodes()?;
    totals.nodes_unreachable = away.iter().filter(|node| !node.answers).count() as u64;
    totals.queue_oldest_seconds = store
        .oldest_queued()?
        .map_or(0.0, |at| now.duration_since(at).as_secs_f64().max(0.0));
    totals.paused = store.pause()?;
    totals.history = store.history_size(now)?;
    Ok(totals)
}
