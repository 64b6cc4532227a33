//! Who asks: a person with a session or a script with a token.

use axum::extract::FromRequestParts;
use axum::http::HeaderMap;
use axum::http::header::{AUTHORIZATION, COOKIE};
use axum::http::request::Parts;
use jiff::Timestamp;

use super::error::{Failure, Result};
use super::state::App;
use super::token::digest;
use crate::clock;

/// The cookie of a session.
pub(super) const COOKIE_NAME: &str = "session_token";

/// Somebody who may look.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Viewer {
    /// The name of the user, or of the token.
    pub(super) name: String,
    /// The digest by which the right to look is found again.
    pub(super) digest: [u8; 32],
    pub(super) kind: Kind,
    /// When the right ends by itself.
    pub(super) until: Option<Timestamp>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Kind {
    Session,
    Token,
}

impl Viewer {
    /// The same viewer, if they still may look.
    pub(super) async fn again(&self, app: &App) -> Result<Self> {
        find(app, self.kind, self.digest).await
    }
}

/// Whom the guard found. Where it did not look for anybody, because the table of routes says
/// that the route is open, nobody is found.
impl FromRequestParts<App> for Viewer {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, _: &App) -> Result<Self> {
        parts
            .extensions
            .get::<Self>()
            .cloned()
            .ok_or_else(Failure::unauthorized)
    }
}

/// Who asks, by all that a request brings.
pub(super) async fn viewer(app: &App, headers: &HeaderMap) -> Result<Viewer> {
    let token = bearer(headers).map(|token| (Kind::Token, digest(token)));
    let session = session_token(headers).map(|token| (Kind::Session, digest(token)));
    // All that is sent has to be good: a wrong token is not mended by a cookie, nor the other way.
    let mut viewer = Err(Failure::unauthorized());
    for (kind, digest) in session.into_iter().chain(token) {
        viewer = Ok(find(app, kind, digest).await?);
    }
    viewer
}

async fn find(app: &App, kind: Kind, digest: [u8; 32]) -> Result<Viewer> {
    let now = clock::now();
    match kind {
        Kind::Session => {
            let found = app
                .pool
                .read(move |store| Ok(store.session(&digest, now)?))
                .await?;
            found.map(|session| Viewer {
                name: session.user,
                digest,
                kind,
                until: Some(session.expires_at),
            })
        }
        Kind::Token => {
            let found = app
                .pool
                .read(move |store| Ok(store.api_token(&digest, now)?))
                .await?;
            if let Some(token) = found.as_ref().filter(|token| token.use_is_news(now)) {
                let name = token.name.clone();
                // A use that cannot be noted, on a full disk, is still a use.
                drop(
                    app.pool
                        .write(move |store| store.api_token_used(&name, now))
                        .await,
                );
            }
            found.map(|token| Viewer {
                name: token.name,
                digest,
                kind,
                until: token.expires_at,
            })
        }
    }
    .ok_or_else(Failure::unauthorized)
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    scheme
        .eq_ignore_ascii_case("bearer")
        .then_some(token.trim())
}

/// The token of the session's cookie.
pub(super) fn session_token(headers: &HeaderMap) -> Option<&str> {
    headers
        .get_all(COOKIE)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(';'))
        .find_map(|pair| pair.trim().strip_prefix(COOKIE_NAME)?.strip_prefix('='))
}
