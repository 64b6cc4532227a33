//! The queue against real hosts: a link that is down, a worker that is killed or stopped, two
//! applies at once.

use std::process::{Child, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

use crate::support::World;

/// Two nodes and nothing else.
fn nodes(name: &'static str) -> World {
    let world = World::new(name, 2);
    world.write(
        "pressluft.yaml",
        "kind: Fleet\nversion: 1\nname: queue\nSOURCES\n",
    );
    world.write(
        "nodes.yaml",
        "kind: Node\nname: web-1\nhost: HOST1\n---\nkind: Node\nname: web-2\nhost: HOST2\n",
    );
    world.commit("Two nodes");
    world
}

/// A process that is killed when the test is over.
struct Background(Child);

impl Background {
    fn start(world: &World, words: &[&str]) -> Self {
        let child = world
            .command(words)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("pressluft runs");
        Self(child)
    }

    fn signal(&self, signal: Signal) {
        let pid = i32::try_from(self.0.id()).expect("a pid");
        kill(Pid::from_raw(pid), signal).expect("a signal");
    }

    fn code(&mut self) -> Option<i32> {
        self.0.wait().expect("an end").code()
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

/// Waits until `what` is so, and says how long that took.
#[track_caller]
fn until(limit: u64, what: impl Fn() -> bool) -> Duration {
    let begun = Instant::now();
    while !what() {
        assert!(begun.elapsed().as_secs() < limit, "not within {limit} s");
        thread::sleep(Duration::from_millis(200));
    }
    begun.elapsed()
}

fn last_job(world: &World, node: &str) -> Value {
    let jobs = world.jobs();
    let job = jobs.iter().rev().find(|job| job["node_id"] == node);
    world.show(job.unwrap_or_else(|| panic!("no job on {node}: {jobs:?}")))
}

fn status(world: &World, node: &str) -> String {
    let job = last_job(world, node);
    job["job"]["status"].as_str().expect("a status").to_owned()
}

#[test]
fn two_applies_at_once_share_their_jobs() {
    let world = nodes("twice");
    let apply = ["apply", "--auto-approve"];
    let (mut one, mut two) = (
        Background::start(&world, &apply),
        Background::start(&world, &apply),
    );
    assert_eq!((one.code(), two.code()), (Some(0), Some(0)));
    let jobs = world.jobs();
    assert_eq!(jobs.len(), 2, "{jobs:?}");
    for job in &jobs {
        assert_eq!(
            (&job["status"], &job["attempt_count"]),
            (&"succeeded".into(), &1.into())
        );
    }
    world.pressluft(&["audit", "verify"]).expect(0);
}

#[test]
fn jobs_of_a_node_whose_link_is_down_wait_for_it() {
    let world = nodes("park");
    world.pressluft(&["apply", "--auto-approve"]).expect(0);
    let worker = Background::start(&world, &["worker"]);
    until(20, || world.state().join("worker.lock").exists());
    world.fleet(&["net", "2", "down"]).expect(0);
    let again = ["--rerun", "node/web-1", "--rerun", "node/web-2"];
    let mut words = vec!["apply", "--auto-approve", "--no-wait"];
    words.extend(again);
    world.pressluft(&words).expect(0);
    until(60, || status(&world, "web-1") == "succeeded");
    until(60, || {
        last_job(&world, "web-2")["job"]["error_code"] == "ANSIBLE_HOST_UNREACHABLE"
    });
    let nodes = world.pressluft(&["get", "nodes", "-o", "json"]).expect(0);
    assert_eq!(nodes.json()[1]["status"], "unreachable");
    // Longer than the default takes patience: PRESSLUFT_LINK_DOWN=180.
    let down = std::env::var("PRESSLUFT_LINK_DOWN").ok();
    let down = down.map_or(30, |seconds| seconds.parse().expect("seconds"));
    thread::sleep(Duration::from_secs(down));
    let parked = last_job(&world, "web-2");
    assert_eq!(parked["job"]["status"], "queued", "{parked}");
    assert_eq!(parked["job"]["attempt_count"], 0, "{parked}");
    world.fleet(&["net", "2", "up"]).expect(0);
    let took = until(30, || status(&world, "web-2") == "succeeded");
    assert!(took < Duration::from_secs(15), "{took:?}");
    let nodes = world.pressluft(&["get", "nodes", "-o", "json"]).expect(0);
    assert_eq!(nodes.json()[1]["status"], "active");

    // A second worker is told who is there; the first one ends in order.
    let second = world.pressluft(&["worker"]).expect(6);
    let pid = worker.0.id().to_string();
    assert!(second.stderr.contains(&pid), "{}", second.stderr);
    let mut worker = worker;
    worker.signal(Signal::SIGTERM);
    assert_eq!(worker.code(), Some(0));
    world.pressluft(&["audit", "verify"]).expect(0);
}

/// A worker in the middle of a job on the first node, whose second task waits for its lock.
fn worker_within(world: &World) -> Background {
    // The fence is held by somebody else, so that the job lasts.
    world.ssh(
        1,
        "mkdir -p /run/pressluft; nohup flock /run/pressluft/fence.lock sleep 15 \
         >/dev/null 2>&1 </dev/null & sleep 0.3",
    );
    let worker = Background::start(world, &["worker"]);
    world
        .pressluft(&[
            "apply",
            "--auto-approve",
            "--no-wait",
            "--target",
            "node/web-1",
        ])
        .expect(0);
    until(40, || {
        let job = last_job(world, "web-1");
        job["job"]["status"] == "running" && job["tasks"].as_array().is_some_and(|t| !t.is_empty())
    });
    worker
}

/// Stops the worker at a moment at which it holds no lock of the database: nobody else could write until it goes on.
fn stop_between_writes(worker: &Background) {
    let pid = worker.0.id().to_string();
    until(20, || {
        worker.signal(Signal::SIGSTOP);
        // Signals arrive a moment later.
        thread::sleep(Duration::from_millis(20));
        let locks = std::fs::read_to_string("/proc/locks").expect("the locks");
        let writes = locks.lines().any(|line| {
            let words: Vec<&str> = line.split_whitespace().collect();
            words.contains(&"POSIX") && words.contains(&"WRITE") && words.contains(&pid.as_str())
        });
        if writes {
            worker.signal(Signal::SIGCONT);
        }
        !writes
    });
}

/// What of a job runs on the node.
fn remains(world: &World) -> String {
    world.ssh(
        1,
        "pgrep -af 'AnsiballZ|ansible-tmp' | grep -v pgrep || true",
    )
}

#[test]
fn a_killed_worker_leaves_nothing_that_goes_on() {
    let world = nodes("killed");
    let mut worker = worker_within(&world);
    worker.0.kill().expect("killed");
    worker.0.wait().expect("gone");
    until(30, || remains(&world).trim().is_empty());
    let _next = Background::start(&world, &["worker"]);
    until(120, || status(&world, "web-1") == "succeeded");
    let job = last_job(&world, "web-1");
    assert_eq!(job["attempts"][0]["outcome"], "interrupted", "{job}");
    let observed = job["tasks"].as_array().into_iter().flatten();
    let observed = observed
        .filter(|task| task["attempt"] == 2)
        .any(|task| task["task"] == "Observe what the interrupted attempt left");
    assert!(observed, "{job}");
    world.pressluft(&["audit", "verify"]).expect(0);
}

#[test]
fn a_worker_that_comes_back_too_late_writes_nothing() {
    let world = nodes("late");
    let worker = worker_within(&world);
    stop_between_writes(&worker);
    // The other one follows at first, and takes over when the lease is over.
    let apply = ["apply", "--auto-approve", "--target", "node/web-1"];
    world.pressluft(&apply).expect(0);
    let before = last_job(&world, "web-1");
    assert_eq!(before["job"]["status"], "succeeded", "{before}");
    assert_eq!(before["attempts"][0]["outcome"], "interrupted", "{before}");
    worker.signal(Signal::SIGCONT);
    until(30, || {
        let refused = [
            "audit",
            "list",
            "--action",
            "stale_write_refused",
            "-o",
            "json",
        ];
        let refused = world.pressluft(&refused).expect(0).json();
        refused.as_array().is_some_and(|list| !list.is_empty())
    });
    assert_eq!(last_job(&world, "web-1"), before);
    world.pressluft(&["audit", "verify"]).expect(0);
}

#[test]
fn a_running_job_is_stopped_on_request_and_a_worker_ends_in_order() {
    let world = nodes("drain");
    let mut worker = worker_within(&world);
    let job = last_job(&world, "web-1");
    let id = job["job"]["id"].as_str().expect("an id");
    world.pressluft(&["jobs", "cancel", id]).expect(0);
    until(40, || status(&world, "web-1") == "cancelled");
    until(30, || remains(&world).trim().is_empty());

    // Once more; what runs may finish, and nothing else begins.
    world.pressluft(&["jobs", "retry", id]).expect(0);
    until(30, || status(&world, "web-1") == "running");
    worker.signal(Signal::SIGTERM);
    thread::sleep(Duration::from_secs(1));
    world
        .pressluft(&[
            "apply",
            "--auto-approve",
            "--no-wait",
            "--target",
            "node/web-2",
        ])
        .expect(0);
    assert_eq!(worker.code(), Some(0));
    assert_eq!(status(&world, "web-1"), "succeeded");
    assert_eq!(status(&world, "web-2"), "queued");
    world.pressluft(&["audit", "verify"]).expect(0);
}

#[test]
fn a_job_that_takes_too_long_is_stopped_and_waits_for_its_next_attempt() {
    let world = nodes("slow");
    world.ssh(
        1,
        "mkdir -p /run/pressluft; nohup flock /run/pressluft/fence.lock sleep 60 \
         >/dev/null 2>&1 </dev/null & sleep 0.3",
    );
    let words = [
        "apply",
        "--auto-approve",
        "--json",
        "--wait",
        "0s",
        "--target",
        "node/web-1",
    ];
    let begun = Instant::now();
    let output = world
        .command(&words)
        .env("PRESSLUFT_JOB_TIMEOUT", "8s")
        .output()
        .expect("pressluft runs");
    assert_eq!(output.status.code(), Some(7), "{output:?}");
    assert!(begun.elapsed().as_secs() < 38, "{:?}", begun.elapsed());
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let end = text
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).expect("JSON"))
        .find(|line| line["type"] == "job_finished")
        .expect("an end");
    assert_eq!(
        (&end["error_code"], &end["status"]),
        (&"JOB_TIMEOUT".into(), &"queued".into()),
        "{end}"
    );
    assert!(end["waits_until"].is_string(), "{end}");
    assert_eq!(last_job(&world, "web-1")["job"]["attempt_count"], 1);
}
