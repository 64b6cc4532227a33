//! `/login`

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use serde::Deserialize;

use super::super::api::page::Asked;
use super::super::auth;
use super::super::error::Result;
use super::super::login::{own_path, see_other};
use super::super::reply;
use super::super::state::App;

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(in crate::web) struct Wanted {
    next: Option<String>,
}

pub(in crate::web) async fn show(
    State(app): State<App>,
    Asked(wanted): Asked<Wanted>,
    headers: HeaderMap,
) -> Result<Response> {
    let next = own_path(wanted.next.as_deref());
    // Somebody who is logged in has nothing to do here.
    if auth::viewer(&app, &headers).await.is_ok() {
        return Ok(see_other(next));
    }
    Ok(reply::html(app.pages.login(next, "", None)?))
}
