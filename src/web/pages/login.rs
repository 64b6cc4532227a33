//! `/login`

use axum::extract::State;
use axum::response::Response;
use serde::Deserialize;

use super::super::api::page::Asked;
use super::super::error::Result;
use super::super::login::own_path;
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
) -> Result<Response> {
    let page = app
        .pages
        .login(own_path(wanted.next.as_deref()), "", None)?;
    Ok(reply::html(page))
}
