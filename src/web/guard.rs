//! What every request passes: the host that it asks for, its method, its query, whether it may ask,
//! the shape of failures, and the headers that tell a browser what the answer may do.

use std::time::Instant;

use axum::extract::{MatchedPath, Request, State};
use axum::http::header::{
    CONTENT_SECURITY_POLICY, CONTENT_TYPE, LOCATION, REFERRER_POLICY, STRICT_TRANSPORT_SECURITY,
    X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::access::{self, Route};
use super::address;
use super::error::{Code, Failure, Result};
use super::reply;
use super::routes::ROUTES;
use super::state::App;
use super::strict::Refusal;

/// Everything comes from here and nothing may be inline, so that text of a node that got past
/// all escaping would still be only text.
const POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; \
                      connect-src 'self'; form-action 'self'; base-uri 'none'; \
                      frame-ancestors 'none'";

pub(super) async fn guard(State(app): State<App>, request: Request, next: Next) -> Response {
    let begun = Instant::now();
    let asked = request.headers().clone();
    let path = request.uri().path().to_owned();
    let whole = request.uri().path_and_query().map(ToString::to_string);
    let method = request.method().clone();
    let is_page = is_page(&path, &asked);
    let route = request
        .extensions()
        .get::<MatchedPath>()
        .and_then(|matched| ROUTES.iter().find(|route| route.path == matched.as_str()));
    let response = match admitted(&app, request, route).await {
        Ok(request) => next.run(request).await,
        Err(failure) => failure.into_response(),
    };
    // Where a login leads back to; what is too long for that leads to the page without its filters.
    let back = whole.filter(|whole| whole.len() <= 512);
    let back = back.as_deref().unwrap_or(&path);
    let mut response = shaped(&app, response, is_page, &path, back);
    if method == Method::GET || method == Method::HEAD {
        response = reply::unless_known(&asked, response);
    }
    secure(&app, response.headers_mut());
    let route = route.map_or("other", |route| route.path);
    app.meters
        .count_request(route, response.status().as_u16(), begun.elapsed());
    response
}

/// The request, if it may go on to its route.
async fn admitted(app: &App, request: Request, route: Option<&Route>) -> Result<Request> {
    let (mut parts, body) = request.into_parts();
    if let Some(refusal) = Refusal::of(&parts.method, parts.uri.path()) {
        app.meters.count_refusal(refusal.reason());
        return Err(refusal.failure());
    }
    match address::host(&parts.headers) {
        None => return Err(Failure::bad_request("the request has no valid `Host`")),
        Some(host) if !is_allowed(app, &host) => {
            return Err(Failure::new(
                StatusCode::MISDIRECTED_REQUEST,
                Code::MisdirectedRequest,
                "this host name is not served here; see `allowed_hosts`",
            ));
        }
        Some(_) => {}
    }
    check_method(&parts.method, route)?;
    // What is not served takes no query either, but has nothing that could be mistaken.
    if let Some(route) = route {
        access::check_query(parts.uri.query(), route.query)?;
        access::check(app, &mut parts, route.access).await?;
    }
    Ok(Request::from_parts(parts, body))
}

fn check_method(method: &Method, route: Option<&Route>) -> Result<()> {
    let takes_post = route.is_some_and(|route| route.method == "POST");
    let (is_fine, allow) = if takes_post {
        (method == Method::POST, "POST")
    } else {
        (method == Method::GET || method == Method::HEAD, "GET, HEAD")
    };
    if is_fine {
        return Ok(());
    }
    Err(Failure {
        allow: Some(allow),
        ..Failure::of_status(StatusCode::METHOD_NOT_ALLOWED)
    })
}

fn is_allowed(app: &App, host: &str) -> bool {
    address::is_local_name(host) || app.allowed_hosts.iter().any(|allowed| allowed == host)
}

/// Whether a person looks at it.
fn is_page(path: &str, asked: &HeaderMap) -> bool {
    !path.starts_with("/api/")
        && !path.starts_with("/hooks/")
        && asked
            .get_all("accept")
            .iter()
            .any(|value| value.to_str().is_ok_and(|text| text.contains("text/html")))
}

/// The same failure for whoever asks: JSON for programs, a page for people, and the way to the
/// login for people who are not logged in.
fn shaped(app: &App, response: Response, is_page: bool, path: &str, back: &str) -> Response {
    let status = response.status();
    if !status.is_client_error() && !status.is_server_error() {
        return response;
    }
    let failure = response.extensions().get::<Failure>().cloned();
    let failure = match failure {
        Some(failure) if !is_page => return failure.into_response(),
        Some(failure) => failure,
        // An answer of ours that is no failure of the request, such as `/readyz`.
        None if is_made_here(&response) => return response,
        None if !is_page => return Failure::of_status(status).into_response(),
        None => Failure::of_status(status),
    };
    if status == StatusCode::UNAUTHORIZED && path != "/login" && !path.starts_with("/metrics") {
        let mut response = StatusCode::SEE_OTHER.into_response();
        let target = format!("/login?next={}", encoded(back));
        if let Ok(target) = HeaderValue::from_str(&target) {
            response.headers_mut().insert(LOCATION, target);
        }
        return response;
    }
    match app.pages.failure(&failure) {
        Ok(page) => {
            let mut shown = reply::html(page);
            *shown.status_mut() = status;
            let kept = response.headers().iter();
            for (name, value) in
                kept.filter(|(name, _)| matches!(name.as_str(), "allow" | "retry-after"))
            {
                shown.headers_mut().insert(name.clone(), value.clone());
            }
            shown
        }
        Err(_) => failure.into_response(),
    }
}

/// Whether the answer is JSON or a page; what the router says by itself is plain text.
fn is_made_here(response: &Response) -> bool {
    response.headers().get(CONTENT_TYPE).is_some_and(|value| {
        value.as_bytes().starts_with(b"application/json")
            || value.as_bytes().starts_with(b"text/html")
    })
}

/// A path as the value of a query: everything but plain characters is written as its number.
fn encoded(path: &str) -> String {
    let mut text = String::new();
    for byte in path.bytes().take(512) {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'/' | b'-' | b'_' | b'.' => {
                text.push(char::from(byte));
            }
            other => text.push_str(&format!("%{other:02X}")),
        }
    }
    text
}

fn secure(app: &App, headers: &mut HeaderMap) {
    let mut set = |name: HeaderName, value: &'static str| {
        headers.insert(name, HeaderValue::from_static(value));
    };
    set(CONTENT_SECURITY_POLICY, POLICY);
    set(X_CONTENT_TYPE_OPTIONS, "nosniff");
    // Without any referrer, browsers would not say where a form is from either.
    set(REFERRER_POLICY, "same-origin");
    set(X_FRAME_OPTIONS, "DENY");
    set(
        HeaderName::from_static("cross-origin-opener-policy"),
        "same-origin",
    );
    set(
        HeaderName::from_static("cross-origin-resource-policy"),
        "same-origin",
    );
    set(
        HeaderName::from_static("permissions-policy"),
        "camera=(), geolocation=(), microphone=()",
    );
    if app.behind_proxy {
        set(STRICT_TRANSPORT_SECURITY, "max-age=31536000");
    }
    reply::keep_private(headers);
}
