//! Answers that succeed: JSON, text and pages, with a tag by which they are known again.

use axum::body::Body;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, ETAG, IF_NONE_MATCH};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::Response;
use serde::Serialize;

use super::error::{Failure, Result};

/// `value` as JSON.
pub(super) fn json(value: &impl Serialize) -> Result<Response> {
    let bytes = serde_json::to_vec(value).map_err(|error| {
        tracing::error!(%error, "an answer cannot be written");
        Failure::internal()
    })?;
    Ok(tagged("application/json", bytes))
}

/// A page.
pub(super) fn html(text: String) -> Response {
    tagged("text/html; charset=utf-8", text.into_bytes())
}

/// Bytes with a tag of their content.
pub(super) fn tagged(content_type: &'static str, bytes: Vec<u8>) -> Response {
    let digest = blake3::hash(&bytes).to_hex();
    let mut response = plain(content_type, bytes);
    if let Ok(tag) = HeaderValue::from_str(&format!("\"{}\"", &digest[..32])) {
        response.headers_mut().insert(ETAG, tag);
    }
    response
}

/// Bytes that are read once.
pub(super) fn plain(content_type: &'static str, bytes: Vec<u8>) -> Response {
    let mut response = Response::new(Body::from(bytes));
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}

/// The answer, or only word that the client has it already.
pub(super) fn unless_known(asked: &HeaderMap, response: Response) -> Response {
    let Some(tag) = response.headers().get(ETAG) else {
        return response;
    };
    let is_known = asked.get_all(IF_NONE_MATCH).iter().any(|value| {
        value.as_bytes() == b"*"
            || value.as_bytes().split(|byte| *byte == b',').any(|part| {
                let part = part.trim_ascii();
                part.strip_prefix(b"W/").unwrap_or(part) == tag.as_bytes()
            })
    });
    if response.status() != StatusCode::OK || !is_known {
        return response;
    }
    let (mut parts, _) = response.into_parts();
    parts.status = StatusCode::NOT_MODIFIED;
    parts.headers.remove(CONTENT_TYPE);
    Response::from_parts(parts, Body::empty())
}

/// Says how long an answer may be kept where nothing else is said: not at all by others, and
/// asked for again each time by the client.
pub(super) fn keep_private(headers: &mut HeaderMap) {
    headers
        .entry(CACHE_CONTROL)
        .or_insert(HeaderValue::from_static("private, no-cache"));
}
