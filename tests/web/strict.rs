//! Requests that can be read in more than one way are refused on the wire, and their connection ends.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use crate::client::{connect, parse};
use crate::world::World;

/// All that a connection says after `bytes`, until the server ends it.
fn said(world: &World, bytes: &[u8]) -> String {
    let mut stream = connect(world.address);
    stream.write_all(bytes).expect("sent");
    let mut raw = Vec::new();
    stream
        .read_to_end(&mut raw)
        .expect("the server ends the connection");
    String::from_utf8_lossy(&raw).into_owned()
}

fn statuses(text: &str) -> Vec<&str> {
    text.split("HTTP/1.1 ")
        .skip(1)
        .map(|answer| &answer[..3])
        // A message may name the version, too.
        .filter(|status| status.bytes().all(|byte| byte.is_ascii_digit()))
        .collect()
}

#[test]
fn a_malformed_head_is_refused_at_once_and_the_connection_ends() {
    let world = World::new();
    let get = "GET /login HTTP/1.1\r\nHost: localhost\r\n";
    let post = "POST /api/login HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n";
    let whole = [
        "GET /login HTTP/1.1\nHost: localhost\n\n",
        "GET /login HTTP/1.1\r\nHost: localhost\n\n",
        "GET /login HTTP/1.1\rHost: localhost\r\r",
        "GET /login\r\n",
        "GET /login HTTP/0.9\r\nHost: localhost\r\n\r\n",
        "GET /login HTTP/1.1\r\n\r\n",
        "GET /login HTTP/1.0\r\n\r\n",
        "GET http://localhost/login HTTP/1.1\r\nHost: localhost\r\n\r\n",
        "CONNECT localhost:80 HTTP/1.1\r\nHost: localhost\r\n\r\n",
        "OPTIONS * HTTP/1.1\r\nHost: localhost\r\n\r\n",
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        "GET /lo gin HTTP/1.1\r\nHost: localhost\r\n\r\n",
        "GET /login\x01 HTTP/1.1\r\nHost: localhost\r\n\r\n",
        "GET /assets/%2e%2e/login HTTP/1.1\r\nHost: localhost\r\n\r\n",
        "GET /login%00 HTTP/1.1\r\nHost: localhost\r\n\r\n",
        "GET //login HTTP/1.1\r\nHost: localhost\r\n\r\n",
        "gET /login HTTP/1.1\r\nHost: localhost\r\n\r\n",
        "\r\nGET /login HTTP/1.1\r\nHost: localhost\r\n\r\n",
        "\x16\x03\x01\x02\x00\x01\x00\x01\x7c\x03\x03",
    ]
    .map(|text| (text.to_owned(), 400));
    let headers = [
        "Host: localhost\r\n\r\n",
        "X-A : b\r\n\r\n",
        "X-A: b\r\n c\r\n\r\n",
        "X-\u{e9}: b\r\n\r\n",
        "X-A: \0\r\n\r\n",
        "Content-Length: 3\r\n\r\nabc",
        "Authorization: Bearer a\r\nAuthorization: Bearer b\r\n\r\n",
    ]
    .map(|rest| (format!("{get}{rest}"), 400));
    let bodies = [
        ("Content-Length: 2\r\nContent-Length: 2\r\n\r\n{}", 400),
        ("Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}", 400),
        ("Content-Length: +2\r\n\r\n{}", 400),
        ("Content-Length: 2, 2\r\n\r\n{}", 400),
        (
            "Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
            400,
        ),
        ("Transfer-Encoding: identity\r\n\r\n{}", 400),
        (
            "Transfer-Encoding: chunked, chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
            400,
        ),
        (
            "Transfer-Encoding : chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
            400,
        ),
        (
            "Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
            411,
        ),
        (
            "Transfer-Encoding: chunked\r\n\r\n2;a=b\r\n{}\r\n0\r\n\r\n",
            411,
        ),
        (
            "Transfer-Encoding: chunked\r\n\r\nffffffffffffffffff\r\n{}",
            411,
        ),
    ]
    .map(|(rest, status)| (format!("{post}{rest}"), status));
    let long = [
        (format!("GET /{} HTTP/1.1\r\n", "x".repeat(8_000)), 414),
        (format!("{get}X: {}\r\n\r\n", "y".repeat(20_000)), 431),
        (format!("{get}{}\r\n", "X: y\r\n".repeat(80)), 431),
    ];
    for (text, status) in whole.into_iter().chain(headers).chain(bodies).chain(long) {
        let begun = Instant::now();
        let answer = said(&world, text.as_bytes());
        let start: String = text.chars().take(100).collect();
        assert_eq!(
            statuses(&answer),
            [status.to_string()],
            "{start:?}: {answer}"
        );
        assert!(
            begun.elapsed() < Duration::from_secs(5),
            "{start:?} was waited for"
        );
        let reply = parse(answer.as_bytes());
        assert_eq!(reply.header("connection"), Some("close"), "{start:?}");
        assert!(reply.json()["message"].is_string(), "{start:?}");
        assert!(
            reply.header("content-security-policy").is_some(),
            "{start:?}"
        );
    }
    let figures = world.get("/metrics").text();
    assert!(
        figures.contains("pressluft_http_refused_total{reason=\"line_end\"} "),
        "{figures}"
    );
}

#[test]
fn what_comes_after_a_request_is_a_head_of_its_own() {
    let world = World::new();
    let get = "GET /login HTTP/1.1\r\nHost: localhost\r\n\r\n";
    let last = "GET /login HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    assert_eq!(
        statuses(&said(&world, format!("{get}{get}{last}").as_bytes())),
        ["200", "200", "200"]
    );
    // The second one is refused in its turn, and nothing is read after it.
    let bad = "GET /login HTTP/1.1\nHost: localhost\n\n";
    assert_eq!(
        statuses(&said(&world, format!("{get}{bad}{last}").as_bytes())),
        ["200", "400"]
    );
    // A request in the body of another one is never one.
    let body = get.repeat(2);
    let post = format!(
        "POST /api/login HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\n\r\n{body}{last}",
        body.len()
    );
    assert_eq!(statuses(&said(&world, post.as_bytes())), ["400", "200"]);
    // Behind a shorter length, the rest of a body would be the next head.
    let short = post.replace(
        &format!("Content-Length: {}", body.len()),
        "Content-Length: 4",
    );
    assert_eq!(statuses(&said(&world, short.as_bytes())), ["400", "400"]);
}

#[test]
fn a_head_may_come_in_any_pieces() {
    let world = World::new();
    let text = "POST /api/login HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n\
                Content-Length: 2\r\nConnection: close\r\n\r\n{}";
    for size in [1, 2, 3, 50] {
        let mut stream = connect(world.address);
        stream.set_nodelay(true).expect("set");
        for piece in text.as_bytes().chunks(size) {
            stream.write_all(piece).expect("sent");
        }
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("answered");
        assert_eq!(statuses(&answer), ["400"], "{answer}");
        assert!(answer.contains("send `user` and `password`"), "{answer}");
    }
}

#[test]
fn who_expects_to_be_asked_for_a_body_is_asked() {
    let world = World::new();
    let mut stream = connect(world.address);
    stream
        .write_all(
            b"POST /api/login HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n\
              Content-Length: 2\r\nExpect: 100-continue\r\nConnection: close\r\n\r\n",
        )
        .expect("sent");
    let mut first = [0; 25];
    stream.read_exact(&mut first).expect("an interim answer");
    assert_eq!(&first, b"HTTP/1.1 100 Continue\r\n\r\n");
    stream.write_all(b"{}").expect("sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("answered");
    assert_eq!(statuses(&answer), ["400"], "{answer}");
}

/// An answer that comes before all was sent reaches the client all the same.
#[test]
fn who_is_still_sending_reads_the_refusal() {
    let world = World::new();
    for _ in 0..20 {
        let mut stream: TcpStream = connect(world.address);
        let head =
            "POST /api/login HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n";
        stream.write_all(head.as_bytes()).expect("sent");
        for _ in 0..8 {
            drop(stream.write_all(&[b'x'; 4_096]));
        }
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("no reset");
        assert_eq!(statuses(&answer), ["411"], "{answer}");
    }
}
