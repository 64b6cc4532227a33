//! `GET /metrics`: figures for Prometheus.
//!
//! What is about jobs and resources comes from the database and never goes down because the
//! program starts again. What is about requests is counted by this process and says so.

mod meters;
mod text;

use axum::extract::State;
use axum::response::Response;
use jiff::Timestamp;

pub(super) use meters::Meters;
use text::Text;

use super::api::totals::{self, Totals};
use super::error::Result;
use super::reply;
use super::standings::Seen;
use super::state::App;
use crate::clock;
use crate::core::job::{JobStatus, JobType};
use crate::store::{HistorySize, Measure, Store};

/// The version of the format.
const FORMAT: &str = "text/plain; version=0.0.4; charset=utf-8";

pub(super) async fn show(State(app): State<App>) -> Result<Response> {
    let now = clock::now();
    let seen = app.standings.lately().await?;
    let ready = app.not_ready().await.is_empty();
    let mut text = app
        .pool
        .read(move |store| recorded(store, &seen, ready, now))
        .await?;
    app.meters.write(&mut text, app.feeds.open());
    Ok(reply::plain(FORMAT, text.finish().into_bytes()))
}

fn recorded(store: &Store, seen: &Seen, ready: bool, now: Timestamp) -> Result<Text> {
    let mut text = Text::default();
    text.gauge("pressluft_build_info", "The running version.");
    text.value(&[("version", env!("CARGO_PKG_VERSION"))], 1.0);
    text.gauge(
        "pressluft_ready",
        "Whether the process is ready, see /readyz.",
    );
    text.value(&[], f64::from(u8::from(ready)));
    let totals = totals::read(store, now)?;
    jobs(&mut text, store, &totals)?;
    for (measure, name, label, help) in [
        (
            Measure::QueueWait,
            "pressluft_queue_wait_seconds",
            "type",
            "From queueing a job to its first attempt.",
        ),
        (
            Measure::Job,
            "pressluft_job_duration_seconds",
            "type",
            "Of attempts at jobs that ended.",
        ),
        (
            Measure::Reconcile,
            "pressluft_reconcile_duration_seconds",
            "result",
            "Of passes over the fleet repo.",
        ),
        (
            Measure::CommitToConverged,
            "pressluft_commit_to_converged_seconds",
            "",
            "From a commit to the end of the last job that it needed.",
        ),
    ] {
        text.histogram(name, help, label, &store.histograms(measure)?);
    }
    text.gauge(
        "pressluft_resources",
        "Resources by how they stand against what is asked for.",
    );
    for ((kind, condition), count) in seen.counts() {
        let labels = [("kind", kind.as_str()), ("status", condition.as_str())];
        text.value(&labels, count as f64);
    }
    text.gauge(
        "pressluft_resource_info",
        "Each resource with its condition and the revision that is applied; up to a minute old.",
    );
    text.raw(seen.info());
    history(&mut text, &totals.history);
    Ok(text)
}

/// What the past takes.
fn history(text: &mut Text, size: &HistorySize) {
    text.gauge("pressluft_database_size_bytes", "Of the database file.");
    text.value(&[], size.bytes as f64);
    text.gauge(
        "pressluft_database_free_bytes",
        "Of the database file, free for what comes.",
    );
    text.value(&[], size.free as f64);
    text.gauge(
        "pressluft_history_entries",
        "What of the past is in the database.",
    );
    for (kind, count) in [
        ("jobs", size.jobs),
        ("looks", size.looks),
        ("audit", size.audit_entries),
    ] {
        text.value(&[("kind", kind)], count as f64);
    }
    text.counter(
        "pressluft_history_removed_total",
        "Jobs that were taken away, and audit entries that are in closed segments.",
    );
    for (kind, count) in [
        ("jobs", size.removed_jobs),
        ("looks", size.removed_looks),
        ("audit", size.closed_entries),
    ] {
        text.value(&[("kind", kind)], count as f64);
    }
    text.gauge(
        "pressluft_audit_segments",
        "Closed segments of the audit chain.",
    );
    text.value(&[], size.segments as f64);
    text.gauge("pressluft_audit_segments_bytes", "Of their files.");
    text.value(&[], size.segment_bytes as f64);
}

fn jobs(text: &mut Text, store: &Store, totals: &Totals) -> Result<()> {
    text.gauge("pressluft_jobs", "Jobs ever queued, by where they are now.");
    let mut known: Vec<(JobStatus, JobType, u64)> = store.job_totals_ever()?;
    // Without jobs there is still something to look for.
    if known.is_empty() {
        known.push((JobStatus::Queued, JobType::NodeProvision, 0));
    }
    for (status, job_type, count) in known {
        let labels = [("status", status.as_str()), ("type", job_type.as_str())];
        text.value(&labels, count as f64);
    }
    text.gauge(
        "pressluft_queue_oldest_seconds",
        "Since the oldest queued job was queued.",
    );
    text.value(&[], totals.queue_oldest_seconds);
    text.gauge(
        "pressluft_nodes_unreachable",
        "Nodes that jobs wait for because they do not answer.",
    );
    text.value(&[], totals.nodes_unreachable as f64);
    text.gauge("pressluft_paused", "Whether no job starts after a restore.");
    text.value(&[], f64::from(u8::from(totals.paused.is_some())));
    Ok(())
}
