//! Who may ask for what. A route says it in the table of routes; the guard holds it, before
//! anything of the route runs.

use axum::http::request::Parts;

use super::address::{Peer, is_local};
use super::auth;
use super::error::{Failure, Result};
use super::routes::ROUTES;
use super::state::App;

/// Who may ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Everybody.
    Open,
    /// A program on this machine that asks for this machine by a name of its own, or whoever
    /// has a login.
    Local,
    /// Who has a session or a token.
    Login,
    /// Who has a session: the route ends it and looks at it itself.
    Session,
    /// Who knows a secret of both sides: the route looks at it itself.
    Signed,
}

impl Access {
    /// As the documentation says it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Local => "this machine, or a login",
            Self::Login => "a login",
            Self::Session => "a session",
            Self::Signed => "a webhook's secret",
        }
    }
}

/// Something that can be asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Route {
    /// The method that it takes; HEAD is taken where GET is.
    pub method: &'static str,
    /// With `{name}` for one part of it, and `{*name}` for its rest.
    pub path: &'static str,
    pub access: Access,
    /// Names that its query may have.
    pub query: &'static [&'static str],
}

/// All that can be asked for.
#[must_use]
pub fn routes() -> &'static [Route] {
    &ROUTES
}

/// Lets a request pass that may ask for what `access` opens. Its viewer is left in its
/// extensions, where the route finds it.
pub(super) async fn check(app: &App, parts: &mut Parts, access: Access) -> Result<()> {
    match access {
        Access::Open | Access::Session | Access::Signed => Ok(()),
        Access::Local if is_from_here(parts) => Ok(()),
        Access::Local | Access::Login => {
            let viewer = auth::viewer(app, &parts.headers).await?;
            parts.extensions.insert(viewer);
            Ok(())
        }
    }
}

fn is_from_here(parts: &Parts) -> bool {
    parts
        .extensions
        .get::<Peer>()
        .is_some_and(|peer| is_local(*peer, &parts.headers))
}

/// Refuses a query with names that are not `known`, with one of them twice, or with anything
/// that is no `name=value`.
pub(super) fn check_query(query: Option<&str>, known: &[&str]) -> Result<()> {
    let Some(query) = query.filter(|query| !query.is_empty()) else {
        return Ok(());
    };
    let mut names: Vec<&str> = Vec::new();
    for pair in query.split('&') {
        let (name, _) = pair.split_once('=').unwrap_or((pair, ""));
        if !known.contains(&name) {
            let mut failure = Failure::bad_request("the query has a name that is not known here");
            failure.body.details = known
                .iter()
                .map(|name| format!("known is `{name}`"))
                .collect();
            return Err(failure);
        }
        if names.contains(&name) {
            return Err(Failure::bad_request("the query has a name twice"));
        }
        names.push(name);
    }
    Ok(())
}
