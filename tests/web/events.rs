//! Event streams: nothing is missed, nothing comes twice, and they end.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use pressluft::core::event::TaskStatus;
use pressluft::core::job::{ErrorCode, JobType};
use pressluft::core::recorded::JobId;
use pressluft::store::{Claim, Outcome};
use serde_json::Value;

use crate::client::{connect, get};
use crate::world::{FIRST, PASSWORD, World, job, task};

/// One event of a stream.
#[derive(Debug)]
struct Event {
    kind: String,
    id: Option<String>,
    data: Value,
}

struct Stream(BufReader<TcpStream>);

impl Stream {
    fn open(world: &World, id: JobId, headers: &[(&str, &str)]) -> Self {
        let mut stream = connect(world.address);
        let mut text = format!(
            "GET /api/jobs/{id}/events HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\n"
        );
        for (name, value) in headers {
            text.push_str(&format!("{name}: {value}\r\n"));
        }
        stream
            .write_all(format!("{text}\r\n").as_bytes())
            .expect("sent");
        let mut reader = BufReader::new(stream);
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            reader.read_line(&mut head).expect("a header");
        }
        assert!(head.starts_with("HTTP/1.1 200"), "{head}");
        assert!(head.contains("text/event-stream"), "{head}");
        Self(reader)
    }

    /// The next event, or none at the end.
    fn next(&mut self) -> Option<Event> {
        let (mut kind, mut id, mut data) = (String::new(), None, String::new());
        loop {
            let mut line = String::new();
            if self.0.read_line(&mut line).ok()? == 0 {
                return None;
            }
            let line = line.trim_end();
            // Sizes of chunks are lines of their own, and no field.
            if let Some(value) = line.strip_prefix("event: ") {
                kind = value.to_owned();
            } else if let Some(value) = line.strip_prefix("id: ") {
                id = Some(value.to_owned());
            } else if let Some(value) = line.strip_prefix("data: ") {
                data = value.to_owned();
            } else if line.is_empty() && !kind.is_empty() && !data.is_empty() {
                let data = serde_json::from_str(&data).expect("JSON");
                return Some(Event { kind, id, data });
            }
        }
    }

    /// Tasks up to the end of the stream, and the last state.
    fn rest(mut self) -> (Vec<String>, Value) {
        let (mut tasks, mut state) = (Vec::new(), Value::Null);
        while let Some(event) = self.next() {
            match event.kind.as_str() {
                "task" => tasks.push(event.id.expect("a task has an id")),
                "state" => state = event.data,
                "end" => break,
                other => panic!("{other}"),
            }
        }
        (tasks, state)
    }
}

fn running(world: &mut World) -> Claim {
    let one = job(JobType::EnvConfigure, "env/acme/production", "web-1");
    world.queue(&[one], FIRST);
    world.claim()
}

fn fail(world: &mut World, claim: &Claim) {
    let outcome = Outcome::Failed {
        code: ErrorCode::AnsibleHostFailed,
        message: "it failed".to_owned(),
    };
    world.end(claim, outcome, &[]);
}

#[test]
fn a_client_sees_all_tasks_in_order_and_the_end() {
    let mut world = World::with_fleet();
    let token = world.token();
    let claim = running(&mut world);
    for n in 0..5 {
        world.tell(&claim, task(&format!("task {n}"), TaskStatus::Ok, 0.1));
    }
    let early = Stream::open(&world, claim.job.id, &[("Authorization", &token)]);
    let resumed = [("Authorization", token.as_str()), ("Last-Event-ID", "1.3")];
    let resumed = Stream::open(&world, claim.job.id, &resumed);
    for n in 5..40 {
        world.tell(&claim, task(&format!("task {n}"), TaskStatus::Changed, 0.1));
        if n % 10 == 0 {
            std::thread::sleep(Duration::from_millis(150));
        }
    }
    fail(&mut world, &claim);
    let ids = |from: u64| (from..=40).map(|n| format!("1.{n}")).collect::<Vec<_>>();
    let (tasks, state) = early.rest();
    assert_eq!(tasks, ids(1));
    assert_eq!(state["job"]["status"], "failed");
    assert_eq!(state["job"]["error_code"], "ANSIBLE_HOST_FAILED");
    assert_eq!(state["attempts"][0]["outcome"], "failed");
    assert_eq!(resumed.rest().0, ids(4));
    // Of a job that has ended all is told at once.
    let late = Stream::open(&world, claim.job.id, &[("Authorization", &token)]);
    assert_eq!(late.rest().0, ids(1));
    let list = world
        .ask(&format!("/api/jobs/{}/events?limit=200", claim.job.id))
        .json();
    assert_eq!(list["items"].as_array().map(Vec::len), Some(40));
}

#[test]
fn a_task_is_told_within_a_second() {
    let mut world = World::with_fleet();
    let token = world.token();
    let claim = running(&mut world);
    let mut stream = Stream::open(&world, claim.job.id, &[("Authorization", &token)]);
    assert_eq!(stream.next().expect("a state").kind, "state");
    let begun = Instant::now();
    world.tell(&claim, task("now", TaskStatus::Ok, 0.1));
    let event = stream.next().expect("a task");
    assert_eq!(event.data["task"], "now");
    assert!(
        begun.elapsed() < Duration::from_secs(1),
        "{:?}",
        begun.elapsed()
    );
}

#[test]
fn a_stream_ends_with_its_session_and_with_the_server() {
    let mut world = World::with_fleet();
    let cookie = world.login("anna", PASSWORD).cookie().expect("a cookie");
    let token = world.token();
    let claim = running(&mut world);
    let mut of_session = Stream::open(&world, claim.job.id, &[("Cookie", &cookie)]);
    let mut of_token = Stream::open(&world, claim.job.id, &[("Authorization", &token)]);
    assert_eq!(of_session.next().expect("a state").kind, "state");
    assert_eq!(of_token.next().expect("a state").kind, "state");
    world
        .store
        .end_sessions("anna", "test", crate::world::now())
        .expect("ended");
    assert_eq!(of_session.next().expect("a word").kind, "logout");
    assert!(of_session.next().is_none());
    world.stop();
    assert!(of_token.next().is_none());
}

#[test]
fn strangers_get_no_stream() {
    let mut world = World::with_fleet();
    let claim = running(&mut world);
    let path = format!("/api/jobs/{}/events?stream", claim.job.id);
    assert_eq!(get(&path).send(world.address).status, 401);
    let unknown = "/api/jobs/0197a000-0000-7000-8000-000000000000/events?stream";
    assert_eq!(world.ask(unknown).status, 404);
}

/// Kilobytes of this process that are in memory; the server is in it.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux");
    let line = status.lines().find(|line| line.starts_with("VmRSS:"));
    let words = line.and_then(|line| line.split_ascii_whitespace().nth(1));
    words.and_then(|word| word.parse().ok()).expect("a number")
}

#[test]
fn two_hundred_clients_cost_little_and_miss_nothing() {
    let mut world = World::with_fleet();
    let token = world.token();
    let claim = running(&mut world);
    let before = resident();
    let mut streams: Vec<Stream> = (0..200)
        .map(|_| Stream::open(&world, claim.job.id, &[("Authorization", &token)]))
        .collect();
    for n in 0..50 {
        let mut told = task(&format!("task {n}"), TaskStatus::Changed, 0.1);
        told.diff = Some("+ a line of a difference\n".repeat(40));
        world.tell(&claim, told);
    }
    for stream in &mut streams {
        assert_eq!(stream.next().expect("a state").kind, "state");
    }
    std::thread::sleep(Duration::from_secs(1));
    let cost = resident().saturating_sub(before);
    assert!(cost < 50 * 1024, "{cost} KiB for both ends of 200 streams");
    fail(&mut world, &claim);
    for stream in streams {
        assert_eq!(stream.rest().0.len(), 50);
    }
}
