//! `POST /api/login` and `POST /api/logout`.
//!
//! What a login costs is bounded before anything is looked at: bytes of its body, logins under
//! way from one place, passwords that are hashed at once. Unknown users take as long as known
//! ones and are answered with the same words.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::header::{
    CONTENT_LENGTH, CONTENT_TYPE, HOST, LOCATION, ORIGIN, RETRY_AFTER, SET_COOKIE,
};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use http_body_util::{BodyExt, Limited};
use jiff::{SignedDuration, Timestamp};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use zeroize::{Zeroize, Zeroizing};

use super::address::{self, Peer};
use super::auth::{COOKIE_NAME, session_token};
use super::error::{Code, Failure, Result};
use super::state::App;
use super::{password, reply, token};
use crate::clock;
use crate::store::{LoginBuckets, LoginGate, StoreError};

/// How long a session is good for.
const SESSION: SignedDuration = SignedDuration::from_hours(24);
/// Bytes of the largest body of a login.
const LARGEST_BODY: usize = 8 * 1024;
/// How long a body may take.
const BODY_PATIENCE: Duration = Duration::from_secs(10);
/// How long a login waits for others whose password is being hashed.
const TURN_PATIENCE: Duration = Duration::from_secs(15);

/// What is sent to log in, as JSON or as a form.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Credentials {
    pub(super) user: String,
    pub(super) password: String,
    /// Where a form wants to go afterwards: a path of this endpoint.
    #[serde(default)]
    pub(super) next: Option<String>,
}

impl Drop for Credentials {
    fn drop(&mut self) {
        self.password.zeroize();
    }
}

/// The answer to a login. The session itself is in the cookie `session_token`.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub(super) struct LoggedIn {
    pub(super) user: String,
    pub(super) expires_at: Timestamp,
}

/// Somebody was let in: their name, what opens their session, and until when.
struct Opened {
    user: String,
    token: String,
    expires_at: Timestamp,
}

pub(super) async fn login(State(app): State<App>, request: Request) -> Result<Response> {
    let asked = request.headers().clone();
    require_same_origin(&asked)?;
    let source = source_of(&request, &app)?;
    let Some(_turn) = app.logins.begin(address::party(source)) else {
        return Err(Failure::too_many(2, "other logins from here are under way"));
    };
    let is_form = is_form(&asked)?;
    let bytes = read_body(request, LARGEST_BODY, BODY_PATIENCE).await?;
    let credentials = parse(is_form, &bytes)?;
    match open(&app, &credentials, source).await {
        Ok(opened) => answer(&app, is_form, &credentials, &opened),
        Err(failure) if is_form && failure.status.is_client_error() => {
            page_again(&app, &credentials, &failure)
        }
        Err(failure) => Err(failure),
    }
}

pub(super) async fn logout(State(app): State<App>, request: Request) -> Result<Response> {
    let asked = request.headers().clone();
    require_same_origin(&asked)?;
    let digest = session_token(&asked)
        .map(token::digest)
        .ok_or_else(Failure::unauthorized)?;
    let now = clock::now();
    let user = app
        .pool
        .write(move |store| store.close_session(&digest, now))
        .await?;
    let is_page = asked.get(CONTENT_TYPE).is_some_and(|value| {
        value
            .as_bytes()
            .starts_with(b"application/x-www-form-urlencoded")
    });
    if user.is_none() && !is_page {
        return Err(Failure::unauthorized());
    }
    let mut response = if is_page {
        see_other("/login")
    } else {
        StatusCode::NO_CONTENT.into_response()
    };
    set_cookie(&app, &mut response, "", 0);
    Ok(response)
}

async fn open(app: &App, credentials: &Credentials, source: IpAddr) -> Result<Opened> {
    let now = clock::now();
    let buckets = buckets(&credentials.user, source);
    let wait = app
        .pool
        .read(move |store| Ok(store.login_wait(&buckets, now)?))
        .await?;
    if let Some(until) = wait {
        app.meters.count_login("limited");
        return Err(closed(until, now));
    }
    match app
        .pool
        .write(move |store| store.begin_login(&buckets, now))
        .await?
    {
        LoginGate::ClosedUntil(until) => {
            app.meters.count_login("limited");
            return Err(closed(until, now));
        }
        LoginGate::Open(slow_down) => {
            tokio::time::sleep(slow_down.unsigned_abs()).await;
        }
    }
    let hashing = Arc::clone(&app.hashing).acquire_owned();
    let Ok(Ok(turn)) = tokio::time::timeout(TURN_PATIENCE, hashing).await else {
        return Err(Failure::too_many(5, "too many logins are under way"));
    };
    let name = credentials.user.clone();
    let typed = Zeroizing::new(credentials.password.clone());
    let hash = app
        .pool
        .read(move |store| {
            // A client that goes away meanwhile makes no room for another password.
            let _turn = turn;
            let hash = store.password_hash(&name)?;
            let is_right = password::is_right(&typed, hash.as_deref());
            Ok((hash, is_right))
        })
        .await?;
    let text = source.to_string();
    let name = credentials.user.clone();
    let now = clock::now();
    let (Some(hash), true) = hash else {
        app.meters.count_login("wrong");
        let user = hash.0.map(|_| name);
        let noted = app
            .pool
            .write(move |store| store.audit_failed_login(user.as_deref(), &text, now))
            .await;
        drop(noted);
        return Err(wrong());
    };
    let token = token::new_session_token();
    let digest = token::digest(&token);
    let expires_at = now.saturating_add(SESSION).unwrap_or(Timestamp::MAX);
    let opened = app
        .pool
        .write(move |store| {
            match store.open_session(&digest, (&name, &hash), expires_at, &text, now) {
                Ok(()) => store.login_was_right(&buckets).map(|()| true),
                Err(StoreError::NotFound { .. }) => Ok(false),
                Err(error) => Err(error),
            }
        })
        .await?;
    if !opened {
        return Err(wrong());
    }
    app.meters.count_login("right");
    Ok(Opened {
        user: credentials.user.clone(),
        token,
        expires_at,
    })
}

fn wrong() -> Failure {
    Failure::new(
        StatusCode::UNAUTHORIZED,
        Code::Unauthorized,
        "user and password do not match",
    )
}

fn closed(until: Timestamp, now: Timestamp) -> Failure {
    let seconds = until.duration_since(now).as_secs().unsigned_abs() + 1;
    Failure::too_many(seconds, "too many failed logins; wait a moment")
}

/// What a login is counted under. A name is cut so that it costs nothing.
fn buckets(user: &str, source: IpAddr) -> LoginBuckets {
    let party = address::party(source).to_string();
    let digest = |name: &str| {
        let mut hasher = blake3::Hasher::new_derive_key("pressluft 2026 login bucket v1");
        for part in [&party, name] {
            hasher.update(&(part.len() as u64).to_le_bytes());
            hasher.update(part.as_bytes());
        }
        *hasher.finalize().as_bytes()
    };
    LoginBuckets {
        account: digest(&format!("account {user}")),
        source: digest("source"),
    }
}

fn answer(app: &App, is_form: bool, asked: &Credentials, opened: &Opened) -> Result<Response> {
    let mut response = if is_form {
        see_other(own_path(asked.next.as_deref()))
    } else {
        reply::json(&LoggedIn {
            user: opened.user.clone(),
            expires_at: opened.expires_at,
        })?
    };
    set_cookie(app, &mut response, &opened.token, SESSION.as_secs());
    Ok(response)
}

/// The login page with what went wrong.
fn page_again(app: &App, asked: &Credentials, failure: &Failure) -> Result<Response> {
    let next = own_path(asked.next.as_deref());
    let page = app
        .pages
        .login(next, &asked.user, Some(&failure.body.message))?;
    let mut response = reply::html(page);
    *response.status_mut() = failure.status;
    if let Some(seconds) = failure.retry_after {
        response
            .headers_mut()
            .insert(RETRY_AFTER, HeaderValue::from(seconds));
    }
    Ok(response)
}

/// A path of this endpoint, whatever was asked for: never another host.
pub(super) fn own_path(next: Option<&str>) -> &str {
    next.filter(|path| {
        path.starts_with('/')
            && !path.starts_with("//")
            && path.len() <= 512
            && path
                .bytes()
                .all(|byte| byte.is_ascii_graphic() && byte != b'\\')
    })
    .unwrap_or("/")
}

pub(super) fn see_other(path: &str) -> Response {
    let mut response = StatusCode::SEE_OTHER.into_response();
    if let Ok(path) = HeaderValue::from_str(path) {
        response.headers_mut().insert(LOCATION, path);
    }
    response
}

/// A link in a chat or a mail opens the page that it names, so the cookie comes with it. Nothing is
/// changed by such a request, and what is sent from another site's page has no cookie.
fn set_cookie(app: &App, response: &mut Response, token: &str, seconds: i64) {
    let secure = if app.behind_proxy { "; Secure" } else { "" };
    let cookie =
        format!("{COOKIE_NAME}={token}; Path=/; Max-Age={seconds}; HttpOnly; SameSite=Lax{secure}");
    if let Ok(value) = HeaderValue::from_str(&cookie) {
        response.headers_mut().insert(SET_COOKIE, value);
    }
}

/// Refuses what another site's page sends.
fn require_same_origin(asked: &HeaderMap) -> Result<()> {
    let refused = || {
        Failure::new(
            StatusCode::FORBIDDEN,
            Code::Forbidden,
            "this was sent by the page of another site",
        )
    };
    if asked
        .get("sec-fetch-site")
        .is_some_and(|site| !matches!(site.as_bytes(), b"same-origin" | b"none"))
    {
        return Err(refused());
    }
    let Some(origin) = asked.get(ORIGIN) else {
        return Ok(());
    };
    let host = asked.get(HOST).and_then(|host| host.to_str().ok());
    let named = origin
        .to_str()
        .ok()
        .and_then(|origin| origin.split_once("://"))
        .map(|(_, host)| host);
    if named.is_some() && named == host {
        Ok(())
    } else {
        Err(refused())
    }
}

fn is_form(asked: &HeaderMap) -> Result<bool> {
    let kind = asked
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .map(|value| value.split(';').next().unwrap_or(value).trim());
    match kind {
        Some(kind) if kind.eq_ignore_ascii_case("application/x-www-form-urlencoded") => Ok(true),
        Some(kind) if kind.eq_ignore_ascii_case("application/json") => Ok(false),
        Some(_) | None => Err(Failure::of_status(StatusCode::UNSUPPORTED_MEDIA_TYPE)),
    }
}

fn parse(is_form: bool, bytes: &[u8]) -> Result<Credentials> {
    let unreadable = || Failure::bad_request("send `user` and `password`");
    let credentials: Credentials = if is_form {
        let text = std::str::from_utf8(bytes).map_err(|_| unreadable())?;
        let address = axum::http::Uri::builder()
            .path_and_query(format!("/?{text}"))
            .build()
            .map_err(|_| unreadable())?;
        axum::extract::Query::try_from_uri(&address)
            .map_err(|_| unreadable())?
            .0
    } else {
        serde_json::from_slice(bytes).map_err(|_| unreadable())?
    };
    let is_bounded = (1..=64).contains(&credentials.user.len())
        && (1..=password::LONGEST).contains(&credentials.password.len());
    if is_bounded {
        Ok(credentials)
    } else {
        Err(wrong())
    }
}

fn source_of(request: &Request, app: &App) -> Result<IpAddr> {
    let peer = request
        .extensions()
        .get::<Peer>()
        .copied()
        .ok_or_else(Failure::internal)?;
    Ok(address::source(peer, request.headers(), app.behind_proxy))
}

/// The body of a request, refused before it is read where it says that it is too large.
pub(super) async fn read_body(
    request: Request,
    most: usize,
    patience: Duration,
) -> Result<Zeroizing<Vec<u8>>> {
    let too_large = || Failure::of_status(StatusCode::PAYLOAD_TOO_LARGE);
    let announced = request
        .headers()
        .get(CONTENT_LENGTH)
        .and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    if announced.is_some_and(|length| length > most as u64) {
        return Err(too_large());
    }
    let body: Body = request.into_body();
    let collected = tokio::time::timeout(patience, Limited::new(body, most).collect())
        .await
        .map_err(|_| Failure::of_status(StatusCode::REQUEST_TIMEOUT))?;
    match collected {
        Ok(collected) => Ok(Zeroizing::new(collected.to_bytes().to_vec())),
        Err(error) if error.is::<http_body_util::LengthLimitError>() => Err(too_large()),
        Err(_) => Err(Failure::bad_request("the body ended too early")),
    }
}
