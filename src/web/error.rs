//! What a request that fails is answered with: always the same shape.

use std::borrow::Cow;

use axum::Json;
use axum::http::header::{ALLOW, RETRY_AFTER};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use schemars::JsonSchema;
use serde::Serialize;

use crate::store::StoreError;

/// The body of every failed request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(rename = "Error")]
pub(super) struct Body {
    pub(super) code: Code,
    pub(super) message: Cow<'static, str>,
    /// More about it, where there is more to say.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(default)]
    pub(super) details: Vec<String>,
}

/// Why a request failed. Append-only.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum Code {
    BadRequest,
    Unauthorized,
    Forbidden,
    NotFound,
    MethodNotAllowed,
    Timeout,
    Conflict,
    PayloadTooLarge,
    UnsupportedMediaType,
    MisdirectedRequest,
    TooManyRequests,
    HeadersTooLarge,
    /// A webhook was not believed; no more is said about why.
    Refused,
    Unavailable,
    Internal,
}

/// A request that failed.
#[derive(Clone, Debug)]
pub(super) struct Failure {
    pub(super) status: StatusCode,
    pub(super) body: Body,
    /// Seconds after which it may be tried again.
    pub(super) retry_after: Option<u64>,
    pub(super) allow: Option<&'static str>,
}

/// The result of handling a request.
pub(super) type Result<T, E = Failure> = std::result::Result<T, E>;

impl Failure {
    pub(super) fn new(
        status: StatusCode,
        code: Code,
        message: impl Into<Cow<'static, str>>,
    ) -> Self {
        Self {
            status,
            body: Body {
                code,
                message: message.into(),
                details: Vec::new(),
            },
            retry_after: None,
            allow: None,
        }
    }

    pub(super) fn bad_request(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, Code::BadRequest, message)
    }

    pub(super) fn unauthorized() -> Self {
        Self::new(
            StatusCode::UNAUTHORIZED,
            Code::Unauthorized,
            "log in, or send a bearer token",
        )
    }

    pub(super) fn not_found(what: &'static str) -> Self {
        let message = format!("there is no such {what}");
        Self::new(StatusCode::NOT_FOUND, Code::NotFound, message)
    }

    pub(super) fn too_many(seconds: u64, message: &'static str) -> Self {
        Self {
            retry_after: Some(seconds.max(1)),
            ..Self::new(
                StatusCode::TOO_MANY_REQUESTS,
                Code::TooManyRequests,
                message,
            )
        }
    }

    pub(super) fn unavailable(message: impl Into<Cow<'static, str>>) -> Self {
        Self {
            retry_after: Some(5),
            ..Self::new(StatusCode::SERVICE_UNAVAILABLE, Code::Unavailable, message)
        }
    }

    pub(super) fn internal() -> Self {
        Self::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            Code::Internal,
            "something went wrong here; the log says what",
        )
    }

    /// What stands for a status that was chosen elsewhere.
    pub(super) fn of_status(status: StatusCode) -> Self {
        let (code, message) = match status.as_u16() {
            401 => return Self::unauthorized(),
            403 => (Code::Forbidden, "this is not allowed"),
            404 => (Code::NotFound, "there is no such page"),
            405 => (Code::MethodNotAllowed, "this method is not possible here"),
            408 => (Code::Timeout, "the request took too long"),
            409 => (Code::Conflict, "this is not possible now"),
            413 => (Code::PayloadTooLarge, "the body is too large"),
            415 => (Code::UnsupportedMediaType, "send JSON or a form"),
            431 => (Code::HeadersTooLarge, "the headers are too large"),
            400..=499 => (Code::BadRequest, "the request cannot be understood"),
            _ => return Self::internal(),
        };
        Self::new(status, code, message)
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let mut response = (self.status, Json(&self.body)).into_response();
        if let Some(seconds) = self.retry_after {
            response
                .headers_mut()
                .insert(RETRY_AFTER, HeaderValue::from(seconds));
        }
        if let Some(allow) = self.allow {
            response
                .headers_mut()
                .insert(ALLOW, HeaderValue::from_static(allow));
        }
        response.extensions_mut().insert(self);
        response
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        match &error {
            StoreError::NotFound { what, .. } => Self::not_found(what),
            StoreError::Busy(_) | StoreError::InUse { .. } => {
                Self::unavailable("the database is busy")
            }
            _ if error.is_of_disk() => {
                tracing::error!(%error, "the database cannot be used");
                Self::unavailable("the disk of the database is in the way")
            }
            _ => {
                tracing::error!(%error, "a request failed");
                Self::internal()
            }
        }
    }
}
