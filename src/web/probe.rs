//! Whether the process lives, and whether it is ready.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use schemars::JsonSchema;
use serde::Serialize;

use super::error::Result;
use super::options::NotReady;
use super::reply;
use super::state::App;

/// The answer to `/healthz`.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub(super) struct Health {
    /// Always `ok`: a process that does not live says nothing.
    pub(super) status: &'static str,
}

/// The answer to `/readyz`.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub(super) struct Readiness {
    pub(super) ready: bool,
    /// Why it is not.
    pub(super) reasons: Vec<NotReady>,
}

pub(super) async fn healthz() -> Result<Response> {
    reply::json(&Health { status: "ok" })
}

pub(super) async fn readyz(State(app): State<App>) -> Result<Response> {
    let reasons = app.not_ready().await;
    let ready = reasons.is_empty();
    let mut response = reply::json(&Readiness { ready, reasons })?;
    if !ready {
        *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
    }
    Ok(response)
}
