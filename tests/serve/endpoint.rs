//! The status endpoint of the daemon: it says whether the daemon is ready, and takes webhooks.

use std::io::{Read, Write};
use std::net::TcpStream;

use hmac::{Hmac, KeyInit, Mac};
use jiff::Timestamp;
use pressluft::store::Store;

use crate::world::{Daemon, World};

/// Where the daemon listens.
fn address(daemon: &mut Daemon) -> String {
    let line = daemon.line("an address", |line| line["type"] == "listening");
    let url = line["url"].as_str().expect("a URL");
    let address = url.strip_prefix("http://").expect("plain HTTP");
    address.trim_end_matches('/').to_owned()
}

/// The status and the body of an answer.
fn ask(address: &str, head: &str, body: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(address).expect("it listens");
    let length = body.len();
    write!(
        stream,
        "{head}Host: {address}\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n{body}"
    )
    .expect("sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    let status = answer.split(' ').nth(1).expect("a status");
    let (_, body) = answer.split_once("\r\n\r\n").expect("a body");
    (status.parse().expect("a number"), body.to_owned())
}

fn ready(address: &str) -> (u16, String) {
    ask(address, "GET /readyz HTTP/1.1\r\n", "")
}

#[test]
fn a_webhook_wakes_the_daemon_and_a_refused_commit_is_no_readiness() {
    let world = World::new();
    world.settings("[webhooks]\ngithub = \"secret:hooks/github\"\n");
    world.run(&["secret", "keygen"]).expect(0);
    // Made in the test, known to both sides.
    let secret = world.git(["rev-parse", "HEAD"]);
    world.write("value", &secret);
    let file = world.clone().join("value").display().to_string();
    world
        .run(&["secret", "set", "hooks/github", "--from-file", &file])
        .expect(0);
    let bare = world.bare().display().to_string();
    let mut daemon = world.serve(&["--repo", &bare, "--ref", "main"]);
    let address = address(&mut daemon);
    let first = world.git(["rev-parse", "HEAD"]);
    daemon.in_force(&first);
    assert_eq!(
        ready(&address),
        (200, r#"{"ready":true,"reasons":[]}"#.to_owned())
    );

    let body = r#"{"ref":"refs/heads/main"}"#;
    let mut mac = <Hmac<sha2::Sha256> as KeyInit>::new_from_slice(secret.as_bytes()).expect("key");
    mac.update(body.as_bytes());
    let signature = data_encoding::HEXLOWER.encode(&mac.finalize().into_bytes());
    let push = |signature: &str| {
        let head = format!(
            "POST /hooks/git HTTP/1.1\r\nX-GitHub-Event: push\r\nX-GitHub-Delivery: 1\r\n\
             X-Hub-Signature-256: sha256={signature}\r\n"
        );
        ask(&address, &head, body).0
    };
    assert_eq!(push(&"0".repeat(64)), 401);
    assert_eq!(push(&signature), 202);
    let pass = daemon.line("a pass", |line| line["type"] == "reconciled");
    assert_eq!(pass["cause"], "webhook");
    assert_eq!(push(&signature), 401, "it was taken before");

    world.write("broken.yaml", "kind: Nod\n");
    world.push("Break it");
    daemon.line("a refusal", |line| line["judged"]["verdict"] == "invalid");
    let (status, reasons) = ready(&address);
    assert_eq!(status, 503);
    assert!(reasons.contains("revision-invalid"), "{reasons}");
}

#[test]
fn ten_thousand_wrong_logins_and_deaths_lock_nobody_else_out() {
    const PASSWORD: &str = "correct horse battery staple";
    let world = World::new();
    world.settings("behind_proxy = true\n");
    let hash = pressluft::web::password::hash(PASSWORD).expect("hashed");
    let path = world.state().join("pressluft.db");
    Store::open(&path)
        .and_then(|mut store| store.add_user("anna", &hash, "test", Timestamp::now()))
        .expect("a user");
    let login = |address: &str, source: &str, password: &str| {
        let head = format!(
            "POST /api/login HTTP/1.1\r\nContent-Type: application/json\r\n\
             X-Forwarded-For: {source}\r\n"
        );
        let body = serde_json::json!({ "user": "anna", "password": password });
        ask(address, &head, &body.to_string()).0
    };
    let bare = world.bare().display().to_string();
    let (mut looked_at, mut refused) = (0, 0);
    for _ in 0..4 {
        let mut daemon = world.serve(&["--repo", &bare, "--ref", "main"]);
        let address = address(&mut daemon);
        for _ in 0..2_500 {
            match login(&address, "192.0.2.7", "a wrong password") {
                401 => looked_at += 1,
                429 => refused += 1,
                status => panic!("{status}"),
            }
        }
        // Whoever guesses is kept out with the right password, too, and nobody else is.
        assert_eq!(login(&address, "192.0.2.7", PASSWORD), 429);
        assert_eq!(login(&address, "203.0.113.5", PASSWORD), 200);
        daemon.signal(nix::sys::signal::Signal::SIGKILL);
        assert_eq!(daemon.end().0, None, "it was killed");
    }
    assert_eq!(looked_at + refused, 10_000);
    assert!(looked_at < 40, "{looked_at} passwords were looked at");
    world.run(&["audit", "verify"]).expect(0);
}
