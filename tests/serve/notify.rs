//! Notifications and commit statuses, taken by a real HTTP server on this machine.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};

use crate::world::{FLEET, World};

/// A request that the server got.
struct Request {
    line: String,
    headers: Vec<String>,
    body: Value,
}

/// Answers each request with the next of `answers`, then with 204; gives the requests out.
fn server(answers: &'static [&'static str]) -> (String, Receiver<Request>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("bound");
    let address = format!("http://{}", listener.local_addr().expect("an address"));
    let (sender, requests) = mpsc::channel();
    thread::spawn(move || {
        let mut answers = answers.iter();
        for stream in listener.incoming().map_while(Result::ok) {
            let answer = answers.next().unwrap_or(&"204 No Content");
            let Some(request) = read(&stream) else {
                continue;
            };
            let reply =
                format!("HTTP/1.1 {answer}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
            (&stream).write_all(reply.as_bytes()).expect("answered");
            if sender.send(request).is_err() {
                return;
            }
        }
    });
    (address, requests)
}

fn read(stream: &TcpStream) -> Option<Request> {
    let mut reader = BufReader::new(stream);
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        match line.trim_end() {
            "" => break,
            line => lines.push(line.to_owned()),
        }
    }
    let length = lines.iter().find_map(|line| {
        line.to_lowercase()
            .strip_prefix("content-length: ")?
            .parse()
            .ok()
    })?;
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    Some(Request {
        line: lines.remove(0),
        headers: lines,
        body: serde_json::from_slice(&body).ok()?,
    })
}

#[track_caller]
fn next(requests: &Receiver<Request>) -> Request {
    requests
        .recv_timeout(Duration::from_secs(60))
        .expect("a request")
}

fn set_secret(world: &World, name: &str, value: &str) {
    let file = world.path().join("value");
    std::fs::write(&file, value).expect("written");
    let file = file.display().to_string();
    world
        .run(&["secret", "set", name, "--from-file", &file])
        .expect(0);
}

#[test]
fn a_broken_commit_is_one_notification_and_its_recovery_another() {
    let world = World::new();
    // The first try is not taken.
    let (address, requests) = server(&["503 Service Unavailable"]);
    set_secret(&world, "notify/ops", &format!("{address}/hook/key"));
    let notify = "notify: [{ webhook: \"secret:notify/ops\", on: [failed, recovered] }]\n---\n";
    world.write("pressluft.yaml", &FLEET.replace("---\n", notify));
    let good = world.push("Tell ops");
    let bare = world.bare().display().to_string();
    let mut daemon = world.serve(&["--repo", &bare]);
    daemon.in_force(&good);
    world.write("broken.yaml", "kind: Nod\n");
    let broken = world.push("Break it");
    for _ in 0..2 {
        let request = next(&requests);
        assert_eq!(request.line, "POST /hook/key HTTP/1.1");
        let body = &request.body;
        assert_eq!(
            (&body["fleet"], &body["summary"]),
            (&json!("studio"), &json!("1 failed"))
        );
        let event = &body["events"][0];
        assert_eq!(event["subject"], "revision");
        assert_eq!(event["code"], "invalid-documents");
        assert_eq!(event["revision"], broken.as_str());
        let reason = event["reason"].as_str().unwrap_or("");
        assert!(reason.starts_with("broken.yaml:1:"), "{reason}");
    }
    // Looking again is no news.
    world.run(&["reconcile"]).expect(3);
    world.run(&["reconcile"]).expect(3);
    world.write("broken.yaml", "kind: Node\nname: web-2\nhost: 127.0.0.2\n");
    let mended = world.push("Mend it");
    let request = next(&requests);
    assert_eq!(request.body["summary"], "1 recovered");
    assert_eq!(request.body["events"][0]["revision"], mended.as_str());
    drop(daemon);
    let messages = world.store().messages(10).expect("read");
    assert_eq!(messages.len(), 2, "{messages:?}");
    let dump = format!("{messages:?}");
    assert!(!dump.contains("/hook/key"), "an address is a secret");
}

#[test]
fn the_host_of_a_commit_is_told_what_became_of_it() {
    let world = World::new();
    let (address, requests) = server(&[]);
    world.write(
        "pressluft.yaml",
        FLEET.split("---").next().expect("the fleet"),
    );
    let commit = world.push("Nothing but a fleet");
    let bare = world.bare().display().to_string();
    world.settings(&format!(
        "[git]\nrepo = \"{bare}\"\n[git.status]\nhost = \"forgejo\"\napi = \"{address}\"\n\
         repository = \"studio/fleet\"\ntoken = \"secret:git/status\"\n"
    ));
    set_secret(&world, "git/status", "t0ken\n");
    let mut daemon = world.serve(&[]);
    daemon.in_force(&commit);
    let path = |commit: &str| format!("POST /api/v1/repos/studio/fleet/statuses/{commit} HTTP/1.1");
    let request = next(&requests);
    assert_eq!(request.line, path(&commit));
    let is_login = |line: &String| line.eq_ignore_ascii_case("authorization: token t0ken");
    assert!(
        request.headers.iter().any(is_login),
        "{:?}",
        request.headers
    );
    assert_eq!(request.body["state"], "success");
    assert_eq!(request.body["context"], "pressluft");
    world.write("broken.yaml", "kind: Nod\n");
    let broken = world.push("Break it");
    let request = next(&requests);
    assert_eq!(request.line, path(&broken));
    assert_eq!(request.body["state"], "failure");
    world.write("broken.yaml", "kind: Node\nname: web-1\nhost: 127.0.0.1\n");
    let node = world.push("A node that waits");
    let request = next(&requests);
    assert_eq!(
        (request.line, &request.body["state"]),
        (path(&node), &json!("pending"))
    );
}
