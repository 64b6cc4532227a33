//! Why a head is refused, and how that is told to those who answer.

use axum::http::{Method, StatusCode};

use super::super::error::{Code, Failure};

/// The method of the request that stands in for a refused one. Methods of clients have letters
/// only, so nobody else can send it.
const STANDING_IN: &str = "!";

/// What is wrong with a head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::web) enum Refusal {
    RequestLine,
    Method,
    Target,
    TargetTooLong,
    Version,
    LineEnd,
    HeaderName,
    HeaderValue,
    Folded,
    Twice,
    TooManyHeaders,
    TooLarge,
    Host,
    Length,
    Encoding,
    NoLength,
    Body,
    Expectation,
}

const ALL: [Refusal; 18] = [
    Refusal::RequestLine,
    Refusal::Method,
    Refusal::Target,
    Refusal::TargetTooLong,
    Refusal::Version,
    Refusal::LineEnd,
    Refusal::HeaderName,
    Refusal::HeaderValue,
    Refusal::Folded,
    Refusal::Twice,
    Refusal::TooManyHeaders,
    Refusal::TooLarge,
    Refusal::Host,
    Refusal::Length,
    Refusal::Encoding,
    Refusal::NoLength,
    Refusal::Body,
    Refusal::Expectation,
];

impl Refusal {
    /// Its name among the figures.
    pub(in crate::web) fn reason(self) -> &'static str {
        match self {
            Self::RequestLine => "request_line",
            Self::Method => "method",
            Self::Target => "target",
            Self::TargetTooLong => "target_too_long",
            Self::Version => "version",
            Self::LineEnd => "line_end",
            Self::HeaderName => "header_name",
            Self::HeaderValue => "header_value",
            Self::Folded => "folded",
            Self::Twice => "twice",
            Self::TooManyHeaders => "too_many_headers",
            Self::TooLarge => "too_large",
            Self::Host => "host",
            Self::Length => "length",
            Self::Encoding => "encoding",
            Self::NoLength => "no_length",
            Self::Body => "body",
            Self::Expectation => "expectation",
        }
    }

    fn message(self) -> &'static str {
        match self {
            Self::RequestLine => "the first line is not `METHOD /path HTTP/1.1`",
            Self::Method => "a method is at most 16 capital letters",
            Self::Target => "the path or the query has bytes that do not belong there",
            Self::TargetTooLong => "the path and the query are too long",
            Self::Version => "HTTP/1.1 and HTTP/1.0 are spoken here",
            Self::LineEnd => "each line of the head ends with CR LF, which stand nowhere else",
            Self::HeaderName => "the name of a header is not followed by a colon, or is no name",
            Self::HeaderValue => "the value of a header has bytes that do not belong there",
            Self::Folded => "a header stands on one line",
            Self::Twice => "a header that may be sent once was sent twice",
            Self::TooManyHeaders => "there are too many headers",
            Self::TooLarge => "the headers are too large",
            Self::Host => "the request has no valid `Host`",
            Self::Length => "`Content-Length` is not one number",
            Self::Encoding => "`Transfer-Encoding` is not taken here; send `Content-Length`",
            Self::NoLength => "send the body in one piece, with `Content-Length`",
            Self::Body => "GET and HEAD have no body",
            Self::Expectation => "nothing but `100-continue` can be expected",
        }
    }

    /// What the client is answered.
    pub(in crate::web) fn failure(self) -> Failure {
        let (status, code) = match self {
            Self::TooLarge | Self::TooManyHeaders => (
                StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
                Code::HeadersTooLarge,
            ),
            Self::TargetTooLong => (StatusCode::URI_TOO_LONG, Code::BadRequest),
            Self::NoLength => (StatusCode::LENGTH_REQUIRED, Code::BadRequest),
            _ => (StatusCode::BAD_REQUEST, Code::BadRequest),
        };
        Failure::new(status, code, self.message())
    }

    /// The head that the parser is handed in place of the refused one. It is answered in its
    /// turn, after what the connection asked for before, and the connection ends with it.
    pub(super) fn standing_in(self) -> Vec<u8> {
        let reason = self.reason();
        format!("{STANDING_IN} /{reason} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            .into_bytes()
    }

    /// The refusal that a request stands in for.
    pub(in crate::web) fn of(method: &Method, path: &str) -> Option<Self> {
        if method.as_str() != STANDING_IN {
            return None;
        }
        let reason = path.strip_prefix('/')?;
        ALL.into_iter().find(|known| known.reason() == reason)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_refusal_is_found_again() {
        for refusal in ALL {
            let text = String::from_utf8(refusal.standing_in()).expect("text");
            let mut words = text.split(' ');
            let method = words.next().expect("a method").parse().expect("a method");
            let path = words.next().expect("a path");
            assert_eq!(Refusal::of(&method, path), Some(refusal));
            assert_eq!(Refusal::of(&Method::GET, path), None);
        }
    }
}
