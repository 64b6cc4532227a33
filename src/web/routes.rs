//! Which path is answered by what.

use axum::Router;
use axum::middleware::from_fn_with_state;
use axum::routing::{get, post};

use super::error::Failure;
use super::state::App;
use super::{api, assets, events, guard, hook, login, metrics, openapi, pages, probe};

/// Everything that is served.
pub(super) fn router(app: App) -> Router {
    Router::new()
        .route("/healthz", get(probe::healthz))
        .route("/readyz", get(probe::readyz))
        .route("/metrics", get(metrics::show))
        .route("/openapi.json", get(openapi::show))
        .route("/api/login", post(login::login))
        .route("/api/logout", post(login::logout))
        .route("/hooks/git", post(hook::hook))
        .route("/api/jobs", get(api::jobs::list))
        .route("/api/jobs/{id}", get(api::jobs::one))
        .route("/api/jobs/{id}/events", get(events::show))
        .route("/api/metrics", get(api::totals::show))
        .route("/api/nodes", get(api::resources::nodes))
        .route("/api/nodes/{id}", get(api::resources::node))
        .route("/api/sites", get(api::resources::sites))
        .route("/api/sites/{id}", get(api::resources::site))
        .route(
            "/api/sites/{id}/environments",
            get(api::resources::environments),
        )
        .route("/api/environments/{*id}", get(api::resources::environment))
        .route("/api/revisions", get(api::revisions::list))
        .route("/api/audit", get(api::audit::list))
        .route("/", get(pages::overview::show))
        .route("/login", get(pages::login::show))
        .route("/jobs", get(pages::jobs::list))
        .route("/jobs/{id}", get(pages::job::show))
        .route("/nodes/{name}", get(pages::node::show))
        .route("/sites/{name}", get(pages::site::show))
        .route(
            "/sites/{site}/environments/{name}",
            get(pages::environment::show),
        )
        .route("/revisions", get(pages::revisions::show))
        .route("/audit", get(pages::audit::show))
        .route("/assets/{name}", get(assets::show))
        .fallback(|| async { Failure::not_found("page") })
        .layer(from_fn_with_state(app.clone(), guard::guard))
        .with_state(app)
}
