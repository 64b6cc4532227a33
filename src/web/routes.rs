//! Which path is answered by what, and who may ask for it.

use std::sync::LazyLock;

use axum::Router;
use axum::handler::Handler;
use axum::middleware::from_fn_with_state;
use axum::routing::MethodRouter;

use super::access::{Access, Route};
use super::error::Failure;
use super::state::App;
use super::{api, assets, events, guard, hook, login, metrics, openapi, pages, probe};

/// What narrows a list of jobs.
const OF_JOBS: &[&str] = &[
    "status", "resource", "node", "site", "plan", "limit", "cursor",
];
/// What narrows the audit record.
const OF_AUDIT: &[&str] = &["resource", "job", "action", "limit", "cursor"];
/// Where a page of any other list begins.
const OF_LIST: &[&str] = &["limit", "cursor"];
const NONE: &[&str] = &[];

/// Each route, as it is served. What is not here is answered by nothing but 404.
pub(super) static ROUTES: LazyLock<Vec<Route>> = LazyLock::new(|| table().routes);

/// Everything that is served.
pub(super) fn router(app: App) -> Router {
    table()
        .router
        .fallback(|| async { Failure::not_found("page") })
        .layer(from_fn_with_state(app.clone(), guard::guard))
        .with_state(app)
}

/// The routes and what answers them: nothing can be served without saying to whom.
struct Table {
    router: Router<App>,
    routes: Vec<Route>,
}

fn table() -> Table {
    use Access::{Local, Login, Open, Session, Signed};
    Table {
        router: Router::new(),
        routes: Vec::new(),
    }
    .get("/healthz", Local, NONE, probe::healthz)
    .get("/readyz", Local, NONE, probe::readyz)
    .get("/metrics", Local, NONE, metrics::show)
    .get("/openapi.json", Local, NONE, openapi::show)
    .post("/api/login", Open, login::login)
    .post("/api/logout", Session, login::logout)
    .post("/hooks/git", Signed, hook::hook)
    .get("/api/jobs", Login, OF_JOBS, api::jobs::list)
    .get("/api/jobs/{id}", Login, NONE, api::jobs::one)
    .get(
        "/api/jobs/{id}/events",
        Login,
        &["limit", "cursor", "stream"],
        events::show,
    )
    .get("/api/metrics", Login, NONE, api::totals::show)
    .get("/api/nodes", Login, OF_LIST, api::resources::nodes)
    .get("/api/nodes/{id}", Login, NONE, api::resources::node)
    .get("/api/sites", Login, OF_LIST, api::resources::sites)
    .get("/api/sites/{id}", Login, NONE, api::resources::site)
    .get(
        "/api/sites/{id}/environments",
        Login,
        OF_LIST,
        api::resources::environments,
    )
    .get(
        "/api/environments/{*id}",
        Login,
        NONE,
        api::resources::environment,
    )
    .get("/api/revisions", Login, OF_LIST, api::revisions::list)
    .get("/api/audit", Login, OF_AUDIT, api::audit::list)
    .get("/", Login, &["after"], pages::overview::show)
    .get("/login", Open, &["next"], pages::login::show)
    .get("/jobs", Login, OF_JOBS, pages::jobs::list)
    .get("/jobs/{id}", Login, &["from"], pages::job::show)
    .get("/nodes/{name}", Login, NONE, pages::node::show)
    .get("/sites/{name}", Login, NONE, pages::site::show)
    .get(
        "/sites/{site}/environments/{name}",
        Login,
        NONE,
        pages::environment::show,
    )
    .get("/revisions", Login, OF_LIST, pages::revisions::show)
    .get("/audit", Login, OF_AUDIT, pages::audit::show)
    .get("/assets/{name}", Open, NONE, assets::show)
}

impl Table {
    fn get<T: 'static>(
        self,
        path: &'static str,
        access: Access,
        query: &'static [&'static str],
        handler: impl Handler<T, App>,
    ) -> Self {
        let route = Route {
            method: "GET",
            path,
            access,
            query,
        };
        self.with(route, axum::routing::get(handler))
    }

    fn post<T: 'static>(
        self,
        path: &'static str,
        access: Access,
        handler: impl Handler<T, App>,
    ) -> Self {
        let route = Route {
            method: "POST",
            path,
            access,
            query: NONE,
        };
        self.with(route, axum::routing::post(handler))
    }

    fn with(mut self, route: Route, answers: MethodRouter<App>) -> Self {
        self.router = self.router.route(route.path, answers);
        self.routes.push(route);
        self
    }
}
