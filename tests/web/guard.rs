//! What every request passes.

use std::io::{Read, Write};
use std::time::{Duration, Instant};

use crate::client::{Ask, connect, get, post};
use crate::world::{Setup, World};

#[test]
fn other_hosts_are_refused() {
    let world = World::new();
    for host in [
        "evil.example",
        "127.0.0.1.evil.example",
        "localhost.example",
    ] {
        let reply = get("/healthz").with("Host", host).send(world.address);
        assert_eq!(reply.status, 421, "{host}");
        assert_eq!(reply.json()["code"], "misdirected_request");
    }
    for host in ["localhost:1", "127.0.0.1", "[::1]:80"] {
        let reply = get("/healthz").with("Host", host).send(world.address);
        assert_eq!(reply.status, 200, "{host}");
    }
    // A name of the outside is served, but who asks for it may be outside.
    let reply = get("/login")
        .with("Host", "STATUS.example")
        .send(world.address);
    assert_eq!(reply.status, 200);
    let reply = get("/healthz")
        .with("Host", "STATUS.example")
        .send(world.address);
    assert_eq!(reply.status, 401);
    let mut stream = connect(world.address);
    stream
        .write_all(b"GET /healthz HTTP/1.0\r\n\r\n")
        .expect("sent");
    let mut raw = String::new();
    stream.read_to_string(&mut raw).expect("answered");
    assert!(raw.contains(" 400 "), "{raw}");
}

#[test]
fn nothing_but_logins_and_the_hook_takes_anything() {
    let mut world = World::new();
    let token = world.token();
    let paths = [
        "/",
        "/jobs",
        "/api/jobs",
        "/api/nodes",
        "/metrics",
        "/healthz",
        "/openapi.json",
        "/api/login",
        "/api/logout",
        "/hooks/git",
        "/nowhere",
    ];
    for path in paths {
        for method in ["PUT", "PATCH", "DELETE", "OPTIONS", "POST"] {
            let takes_post = matches!(path, "/api/login" | "/api/logout" | "/hooks/git");
            if method == "POST" && takes_post {
                continue;
            }
            let reply = Ask::new(method, path)
                .with("Authorization", &token)
                .send(world.address);
            assert_eq!(reply.status, 405, "{method} {path}");
            assert_eq!(reply.json()["code"], "method_not_allowed");
            let allow = if takes_post { "POST" } else { "GET, HEAD" };
            assert_eq!(reply.header("allow"), Some(allow), "{method} {path}");
        }
    }
    assert_eq!(world.get("/api/login").status, 405);
}

#[test]
fn a_failure_has_one_shape() {
    let mut world = World::new();
    let cases = [
        ("/nowhere", 404, "not_found"),
        ("/api/jobs/x", 400, "bad_request"),
        ("/api/jobs/%ff", 400, "bad_request"),
        (
            "/api/jobs/0197a000-0000-7000-8000-000000000000",
            404,
            "not_found",
        ),
        ("/api/jobs?limit=0", 400, "bad_request"),
        ("/api/jobs?limit=1&limit=2", 400, "bad_request"),
        ("/api/jobs?cursor=AAAA", 404, "not_found"),
        ("/api/jobs?status=eaten", 400, "bad_request"),
        ("/api/nodes/none", 404, "not_found"),
        ("/api/sites/none/environments", 404, "not_found"),
        ("/api/environments/a", 404, "not_found"),
        ("/api/environments/env%2Fa%2Fb", 404, "not_found"),
        ("/api/audit?job=1", 400, "bad_request"),
        ("/assets/..%2f..%2fetc%2fpasswd", 400, "bad_request"),
        ("/assets/%2e%2e/jobs", 400, "bad_request"),
        ("/jobs%00", 400, "bad_request"),
        ("/api/jobs?unknown=1", 400, "bad_request"),
        ("/api/jobs?status=failed&status=failed", 400, "bad_request"),
        ("/api/jobs?status=%ff", 400, "bad_request"),
        (
            "/api/jobs/0197a000-0000-7000-8000-000000000000?x",
            400,
            "bad_request",
        ),
        ("/?limit=1", 400, "bad_request"),
    ];
    for (path, status, code) in cases {
        let reply = world.ask(path);
        assert_eq!(reply.status, status, "{path}: {}", reply.text());
        let body = reply.json();
        assert_eq!(body["code"], code, "{path}");
        assert!(body["message"].is_string(), "{path}");
    }
    let reply = world.get("/api/jobs");
    assert_eq!(
        (reply.status, reply.json()["code"].as_str()),
        (401, Some("unauthorized"))
    );
    let page = get("/nowhere")
        .with("Accept", "text/html")
        .send(world.address);
    assert_eq!(page.status, 404);
    assert!(page.text().starts_with("<!doctype html>"));
}

#[test]
fn answers_say_what_a_browser_may_do_with_them() {
    let world = World::new();
    for path in ["/login", "/healthz", "/nowhere"] {
        let reply = world.get(path);
        let policy = reply.header("content-security-policy").expect("a policy");
        assert!(policy.starts_with("default-src 'none'"), "{policy}");
        assert!(policy.contains("frame-ancestors 'none'"), "{policy}");
        assert!(!policy.contains("unsafe"), "{policy}");
        assert_eq!(reply.header("x-content-type-options"), Some("nosniff"));
        assert_eq!(reply.header("referrer-policy"), Some("same-origin"));
        assert_eq!(reply.header("cache-control"), Some("private, no-cache"));
        assert_eq!(reply.header("strict-transport-security"), None);
    }
    let page = world.get("/login").text();
    assert!(
        !page.contains("style=\"") && !page.contains("<script>"),
        "{page}"
    );
    let script = page
        .split('"')
        .find(|part| part.ends_with(".js"))
        .expect("a script");
    let asset = world.get(script);
    assert_eq!(asset.status, 200);
    assert_eq!(
        asset.header("cache-control"),
        Some("public, max-age=31536000, immutable")
    );
}

#[test]
fn what_is_known_is_not_sent_again() {
    let mut world = World::with_fleet();
    let token = world.token();
    let ask = get("/api/sites").with("Authorization", &token);
    let first = ask.send(world.address);
    let tag = first.header("etag").expect("a tag").to_owned();
    for known in [tag.as_str(), "*", &format!("\"x\", W/{tag}")] {
        let again = ask.clone().with("If-None-Match", known).send(world.address);
        assert_eq!((again.status, again.body.len()), (304, 0), "{known}");
        assert_eq!(again.header("etag"), Some(tag.as_str()));
    }
    let other = ask.with("If-None-Match", "\"x\"").send(world.address);
    assert_eq!(other.body, first.body);
}

#[test]
fn probes_are_open_to_this_machine_only() {
    let mut world = World::with(&Setup {
        not_ready: Some("the remote does not answer"),
        ..Setup::default()
    });
    for path in ["/healthz", "/readyz", "/metrics"] {
        let forwarded = get(path)
            .with("X-Forwarded-For", "192.0.2.1")
            .send(world.address);
        assert_eq!(forwarded.status, 401, "{path}");
        let token = world.token();
        let known = get(path)
            .with("X-Forwarded-For", "192.0.2.1")
            .with("Authorization", &token)
            .send(world.address);
        assert_ne!(known.status, 401, "{path}");
    }
    let ready = world.get("/readyz");
    assert_eq!(ready.status, 503);
    assert_eq!(
        ready.json()["reasons"][0]["reason"],
        "the remote does not answer"
    );
    assert_eq!(world.get("/healthz").json()["status"], "ok");
}

#[test]
fn who_sends_slowly_or_too_much_is_cut_off() {
    let world = World::new();
    let mut slow = connect(world.address);
    slow.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\nX-Slow: ")
        .expect("sent");
    let begun = Instant::now();
    let mut rest = Vec::new();
    drop(slow.read_to_end(&mut rest));
    assert!(
        begun.elapsed() < Duration::from_secs(20),
        "it is still waited for"
    );
    let long = "x".repeat(64 * 1024);
    let reply = get("/healthz").with("X-Long", &long).send(world.address);
    assert_eq!(reply.status, 431);
    let announced = Ask::new("POST", "/api/login")
        .json()
        .with("Content-Length", "10000000000")
        .send(world.address);
    assert_eq!(announced.status, 413);
    assert_eq!(announced.json()["code"], "payload_too_large");
    let sent = post("/api/login", "x".repeat(20_000))
        .json()
        .send(world.address);
    assert_eq!(sent.status, 413);
}

#[test]
fn an_endless_body_is_not_read() {
    let world = World::new();
    let mut stream = connect(world.address);
    stream
        .write_all(b"POST /api/login HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n")
        .expect("sent");
    let chunk = [b"10000\r\n".as_slice(), &[b'x'; 0x10000], b"\r\n"].concat();
    let mut sent = 0_usize;
    // 10 GB of it; the kernel's buffers take a few MB before the write fails.
    while sent < 10_000_000_000 && stream.write_all(&chunk).is_ok() {
        sent += chunk.len();
        assert!(sent < 64_000_000, "{sent} bytes were taken");
    }
}

#[test]
fn an_end_lets_requests_finish() {
    let mut world = World::new();
    let reply = std::thread::scope(|scope| {
        let address = world.address;
        let login = scope.spawn(move || {
            let body = r#"{"user":"anna","password":"correct horse battery staple"}"#;
            post("/api/login", body).json().send(address)
        });
        std::thread::sleep(Duration::from_millis(30));
        world.stop();
        login.join().expect("answered")
    });
    assert_eq!(reply.status, 200, "{}", reply.text());
    assert!(std::net::TcpStream::connect(world.address).is_err());
}
