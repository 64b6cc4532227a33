//! Heads against another parser, and connections against what they carry.

use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use proptest::prelude::*;
use tokio::io::{AsyncRead, ReadBuf};

use super::gate::Gate;
use super::head::{Head, Look};
use super::refusal::Refusal;

/// What is said of a head that comes in pieces of `piece` bytes.
fn look(bytes: &[u8], piece: usize) -> Result<Look, Refusal> {
    let mut head = Head::default();
    let mut come = 0;
    loop {
        come = (come + piece).min(bytes.len());
        match head.look(&bytes[..come])? {
            Look::More if come < bytes.len() => {}
            look => return Ok(look),
        }
    }
}

fn refused(text: &str) -> Option<Refusal> {
    look(text.as_bytes(), usize::MAX / 2).err()
}

#[test]
fn each_malformed_head_is_refused_for_what_is_wrong_with_it() {
    let get = "GET / HTTP/1.1\r\nHost: localhost\r\n";
    let post = "POST /hooks/git HTTP/1.1\r\nHost: localhost\r\n";
    let many = "X: y\r\n".repeat(64);
    let cases: Vec<(String, Refusal)> = [
        ("GET / HTTP/1.1\nHost: localhost\n\n", Refusal::LineEnd),
        ("GET / HTTP/1.1\r\nHost: localhost\n\r\n", Refusal::LineEnd),
        (
            "GET / HTTP/1.1\r\nHost: local\rhost\r\n\r\n",
            Refusal::LineEnd,
        ),
        ("GET / HTTP/1.1\rHost: localhost\r\r", Refusal::LineEnd),
        (
            "GET / HTTP/1.1\r\r\nHost: localhost\r\n\r\n",
            Refusal::LineEnd,
        ),
        (
            "\r\nGET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
            Refusal::RequestLine,
        ),
        ("GET /\r\n", Refusal::RequestLine),
        ("GET  / HTTP/1.1\r\n", Refusal::RequestLine),
        ("GET / HTTP/1.1 \r\n", Refusal::RequestLine),
        ("GET\t/\tHTTP/1.1\r\n", Refusal::RequestLine),
        (" GET / HTTP/1.1\r\n", Refusal::RequestLine),
        ("\u{16}\u{3}\u{1}", Refusal::RequestLine),
        ("get / HTTP/1.1\r\n", Refusal::RequestLine),
        ("G@T / HTTP/1.1\r\n", Refusal::Method),
        ("GETGETGETGETGETGET / HTTP/1.1\r\n", Refusal::Method),
        ("GET / HTTP/2.0\r\n", Refusal::Version),
        ("GET / http/1.1\r\n", Refusal::Version),
        ("GET / HTTP/1.10\r\n", Refusal::Version),
        ("PRI * HTTP/2.0\r\n", Refusal::Target),
        ("OPTIONS * HTTP/1.1\r\n", Refusal::Target),
        ("CONNECT localhost:80 HTTP/1.1\r\n", Refusal::Target),
        ("GET http://localhost/ HTTP/1.1\r\n", Refusal::Target),
        ("GET / HTTP/1.1\r\n\r\n", Refusal::Host),
        ("GET / HTTP/1.0\r\n\r\n", Refusal::Host),
        ("GET / HTTP/1.1\r\nHost:\r\n\r\n", Refusal::Host),
        ("GET / HTTP/1.1\r\nHost: a b\r\n\r\n", Refusal::Host),
        ("GET / HTTP/1.1\r\nHost: a@b\r\n\r\n", Refusal::Host),
    ]
    .map(|(text, refusal)| (text.to_owned(), refusal))
    .into_iter()
    .chain(
        [
            ("Host: localhost\r\n\r\n", Refusal::Host),
            ("X-A: b\r\n c\r\n\r\n", Refusal::Folded),
            ("X-A: b\r\n\tc\r\n\r\n", Refusal::Folded),
            ("X-A : b\r\n\r\n", Refusal::HeaderName),
            ("X A: b\r\n\r\n", Refusal::HeaderName),
            (": b\r\n\r\n", Refusal::HeaderName),
            ("X-A\r\n\r\n", Refusal::HeaderName),
            ("X-\u{e9}: b\r\n\r\n", Refusal::HeaderName),
            ("X-\0: b\r\n\r\n", Refusal::HeaderName),
            ("X-A: \0\r\n\r\n", Refusal::HeaderValue),
            ("X-A: \u{b}\r\n\r\n", Refusal::HeaderValue),
            ("X-A: \u{c}\r\n\r\n", Refusal::HeaderValue),
            ("X-A: \u{7f}\r\n\r\n", Refusal::HeaderValue),
            (
                "Authorization: a\r\nauthorization: b\r\n\r\n",
                Refusal::Twice,
            ),
            ("Cookie: a=b\r\nCookie: c=d\r\n\r\n", Refusal::Twice),
            ("Expect: 200-maybe\r\n\r\n", Refusal::Expectation),
            ("Content-Length: 1\r\n\r\n", Refusal::Body),
            ("Transfer-Encoding: identity\r\n\r\n", Refusal::Encoding),
            (&many, Refusal::TooManyHeaders),
        ]
        .map(|(rest, refusal)| (format!("{get}{rest}"), refusal)),
    )
    .chain(
        [
            (
                "Content-Length: 1\r\nContent-Length: 1\r\n\r\n",
                Refusal::Length,
            ),
            ("Content-Length: 1, 1\r\n\r\n", Refusal::Length),
            ("Content-Length: +1\r\n\r\n", Refusal::Length),
            ("Content-Length: -1\r\n\r\n", Refusal::Length),
            ("Content-Length: 0x1\r\n\r\n", Refusal::Length),
            ("Content-Length: 01\r\n\r\n", Refusal::Length),
            ("Content-Length: 1 1\r\n\r\n", Refusal::Length),
            ("Content-Length:\r\n\r\n", Refusal::Length),
            (
                "Content-Length: 99999999999999999999\r\n\r\n",
                Refusal::Length,
            ),
            ("Transfer-Encoding: chunked\r\n\r\n", Refusal::NoLength),
            ("Transfer-Encoding: Chunked\r\n\r\n", Refusal::NoLength),
            ("Transfer-Encoding: xchunked\r\n\r\n", Refusal::Encoding),
            (
                "Transfer-Encoding: gzip, chunked\r\n\r\n",
                Refusal::Encoding,
            ),
            (
                "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n",
                Refusal::Encoding,
            ),
            (
                "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
                Refusal::Encoding,
            ),
            (
                "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n",
                Refusal::Encoding,
            ),
        ]
        .map(|(rest, refusal)| (format!("{post}{rest}"), refusal)),
    )
    .collect();
    for (text, refusal) in &cases {
        assert_eq!(refused(text), Some(*refusal), "{text:?}");
        assert_eq!(
            look(text.as_bytes(), 1).err(),
            Some(*refusal),
            "{text:?} byte by byte"
        );
    }
    let not_text = [get.as_bytes(), b"X-A: \xff\r\n\r\n"].concat();
    assert_eq!(look(&not_text, 1), Err(Refusal::HeaderValue));
    let old = "POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
    assert_eq!(refused(old), Some(Refusal::Encoding));
}

#[test]
fn what_is_too_long_is_refused_before_it_ends() {
    let target = format!("GET /{}", "x".repeat(5_000));
    assert_eq!(refused(&target), Some(Refusal::TargetTooLong));
    let ended = format!("GET /{} HTTP/1.1\r\n", "x".repeat(4_096));
    assert_eq!(refused(&ended), Some(Refusal::TargetTooLong));
    let head = "GET / HTTP/1.1\r\nHost: localhost\r\n";
    let line = format!("{head}X: {}", "y".repeat(16_400));
    assert_eq!(refused(&line), Some(Refusal::TooLarge));
    let fits = format!("{head}X: {}\r\n\r\n", "y".repeat(16_000));
    assert!(matches!(look(fits.as_bytes(), 999), Ok(Look::Whole { .. })));
}

#[test]
fn heads_of_usual_clients_pass() {
    for text in [
        "GET / HTTP/1.1\r\nHost: localhost:8080\r\nUser-Agent: curl/8.5.0\r\nAccept: */*\r\n\r\n",
        "GET /api/jobs?limit=5 HTTP/1.0\r\nHost: [::1]:80\r\nConnection: close\r\n\r\n",
        "HEAD /healthz HTTP/1.1\r\nhost:status.example\r\nX-Empty:\r\nX-Tab: \ta\t\r\n\r\n",
        "GET /login HTTP/1.1\r\nHost: a\r\nCookie: a=\u{e9}; session_token=x\r\n\r\n",
        "DELETE /jobs HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n",
    ] {
        let whole = Look::Whole {
            head: text.len(),
            body: 0,
        };
        assert_eq!(look(text.as_bytes(), 7), Ok(whole), "{text:?}");
    }
    let text =
        "POST /api/login HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 12\r\n\r\n";
    let whole = Look::Whole {
        head: text.len(),
        body: 12,
    };
    assert_eq!(look(text.as_bytes(), 1), Ok(whole));
}

/// Pieces of heads, sound and broken.
fn piece() -> impl Strategy<Value = Vec<u8>> {
    let known: &[&[u8]] = &[
        b"GET ",
        b"POST ",
        b"HEAD ",
        b"get ",
        b"/",
        b"/jobs",
        b"/api/nodes/a%2Fb",
        b"?limit=1",
        b" HTTP/1.1",
        b" HTTP/1.0",
        b" HTTP/1.2",
        b"\r\n",
        b"\r\n",
        b"\r\n",
        b"\n",
        b"\r",
        b" ",
        b"\t",
        b":",
        b"Host: localhost",
        b"Host: a.example:80",
        b"Content-Length: 5",
        b"Content-Length: 0",
        b"content-length:7",
        b"Transfer-Encoding: chunked",
        b"X-A: b",
        b"X-B:",
        b"X-C: \xc3\xa9",
        b"\0",
        b"\xff",
        b"%2e%2e",
        b"..",
        b"hello",
        b"Expect: 100-continue",
        b"Connection: close",
    ];
    prop_oneof![
        9 => proptest::sample::select(known).prop_map(<[u8]>::to_vec),
        1 => proptest::collection::vec(any::<u8>(), 1..4),
    ]
}

/// A head, most often a sound one with something changed.
fn head() -> impl Strategy<Value = Vec<u8>> {
    let line = proptest::sample::select(&[
        "GET / HTTP/1.1\r\n",
        "POST /api/login HTTP/1.1\r\n",
        "GET /jobs?status=failed HTTP/1.0\r\n",
    ] as &[&str]);
    let headers = proptest::collection::vec(
        proptest::sample::select(&[
            "Accept: */*\r\n",
            "X-Empty:\r\n",
            "X-A:  b \t c  \r\n",
            "Content-Length: 3\r\n",
            "cookie: a=b; c=d\r\n",
            "X-U: \u{e9}\r\n",
        ] as &[&str]),
        0..5,
    );
    let change = (
        any::<prop::sample::Index>(),
        0_usize..4,
        proptest::option::of(piece()),
    );
    let sound = (line, headers).prop_map(|(line, headers)| {
        format!("{line}Host: localhost\r\n{}\r\n", headers.concat()).into_bytes()
    });
    let changed = (sound, proptest::option::of(change)).prop_map(|(mut bytes, change)| {
        if let Some((at, cut, piece)) = change {
            let at = at.index(bytes.len());
            let end = (at + cut).min(bytes.len());
            drop(bytes.splice(at..end, piece.unwrap_or_default()));
        }
        bytes
    });
    let pieces = proptest::collection::vec(piece(), 0..24).prop_map(|pieces| pieces.concat());
    prop_oneof![4 => changed, 1 => pieces]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 20_000, failure_persistence: None, ..ProptestConfig::default() })]

    /// What passes is read by hyper's own parser in the same way, to the last byte.
    #[test]
    fn what_passes_is_read_the_same_by_another_parser(bytes in head()) {
        let Ok(Look::Whole { head, body }) = look(&bytes, bytes.len().max(1)) else {
            return Ok(());
        };
        let mut headers = [httparse::EMPTY_HEADER; 100];
        let mut request = httparse::Request::new(&mut headers);
        let parsed = request.parse(&bytes);
        prop_assert_eq!(parsed, Ok(httparse::Status::Complete(head)));
        let text = std::str::from_utf8(&bytes[..head]).expect("text");
        let mut lines = text.strip_suffix("\r\n\r\n").expect("its end").split("\r\n");
        let version = match request.version {
            Some(1) => "HTTP/1.1",
            _ => "HTTP/1.0",
        };
        let line = format!("{} {} {version}", request.method.unwrap_or(""), request.path.unwrap_or(""));
        prop_assert_eq!(lines.next(), Some(line.as_str()));
        let mut length = 0;
        let found: Vec<(&str, &[u8])> = request.headers.iter().map(|header| (header.name, header.value)).collect();
        let read: Vec<(&str, &[u8])> = lines
            .map(|line| line.split_once(':').expect("a colon"))
            .map(|(name, value)| (name, value.trim_matches([' ', '\t']).as_bytes()))
            .collect();
        prop_assert_eq!(&found, &read);
        for (name, value) in found {
            if name.eq_ignore_ascii_case("content-length") {
                length = std::str::from_utf8(value).expect("text").parse().expect("a number");
            }
            prop_assert!(!name.eq_ignore_ascii_case("transfer-encoding"));
        }
        prop_assert_eq!(body, length);
    }

    /// In which pieces it comes changes nothing.
    #[test]
    fn pieces_make_no_difference(bytes in head(), piece in 1_usize..9) {
        prop_assert_eq!(look(&bytes, piece), look(&bytes, 1));
    }
}

/// All that the parser sees of a connection on which `bytes` come, reading `room` at once.
fn seen(bytes: &[u8], room: usize) -> Vec<u8> {
    let mut gate = Gate::new(bytes);
    let mut context = Context::from_waker(Waker::noop());
    let mut all = Vec::new();
    loop {
        let mut piece = vec![0; room];
        let mut piece = ReadBuf::new(&mut piece);
        match Pin::new(&mut gate).poll_read(&mut context, &mut piece) {
            Poll::Ready(Ok(())) if !piece.filled().is_empty() => {
                all.extend_from_slice(piece.filled());
            }
            Poll::Ready(Ok(())) | Poll::Pending => return all,
            Poll::Ready(Err(error)) => panic!("{error}"),
        }
    }
}

#[test]
fn heads_and_bodies_pass_unchanged_until_one_is_refused() {
    let body = "GET /smuggled HTTP/1.1\nHost: a\n\n";
    let post = format!(
        "POST /api/login HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    let get = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
    let sound = format!("{get}{post}{get}{post}{get}");
    for room in [1, 7, 64, 8_192] {
        assert_eq!(seen(sound.as_bytes(), room), sound.as_bytes(), "{room}");
        let broken = format!("{sound}GET / HTTP/1.1\nHost: a\n\n{get}");
        let expected = [sound.as_bytes(), &Refusal::LineEnd.standing_in()].concat();
        assert_eq!(seen(broken.as_bytes(), room), expected, "{room}");
        // A part of a head is not shown at all.
        let part = format!("{sound}GET / HT");
        assert_eq!(seen(part.as_bytes(), room), sound.as_bytes(), "{room}");
    }
}
