//! `kill -9` or Ctrl-C in the middle of a job: nothing is lost, and the next apply brings the
//! site up.

use std::io::{BufRead, BufReader};
use std::process::{Child, Stdio};

use serde_json::Value;

use crate::support::World;

fn one_site(name: &'static str) -> World {
    let world = World::new(name, 1);
    world.write(
        "pressluft.yaml",
        "kind: Fleet\nversion: 1\nname: interruption\nSOURCES\n",
    );
    world.write("nodes.yaml", "kind: Node\nname: web-1\nhost: HOST1\n");
    world.write(
        "sites.yaml",
        "kind: Site\nname: acme\ntitle: Acme\nnode: web-1\n\
         admin: {user: owner, email: owner@acme.example}\n---\n\
         kind: Environment\nsite: acme\nname: production\ntype: production\n",
    );
    world.commit("One site");
    world
}

/// Starts `apply` and returns when the first task of a job of `job_type` has ended.
fn apply_until_within(world: &World, job_type: &str) -> (Child, impl Iterator<Item = Value>) {
    let mut child = world
        .command(&["apply", "--auto-approve", "--json"])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("pressluft runs");
    let stdout = child.stdout.take().expect("a pipe");
    let mut lines = BufReader::new(stdout)
        .lines()
        .map(|line| serde_json::from_str::<Value>(&line.expect("a line")).expect("JSON"));
    let started = lines
        .find(|line| line["type"] == "job_started" && line["job_type"] == job_type)
        .unwrap_or_else(|| panic!("{job_type} never began"));
    lines
        .find(|line| line["type"] == "task" && line["job_id"] == started["job_id"])
        .expect("a task");
    (child, lines)
}

/// Everything that was asked for is there, once, and the record says so.
fn settled(world: &World) {
    for job in world.jobs() {
        let status = job["status"].as_str().expect("a status");
        assert!(matches!(status, "succeeded" | "cancelled"), "{job}");
    }
    let name = format!("acme.{}.sslip.io", world.ip(1).replace('.', "-"));
    let (head, body) = world.visit(1, &name, "/");
    assert!(head.starts_with("HTTP/1.1 200"), "{head}");
    assert!(body.contains("<title>Acme"), "{body}");
    world.pressluft(&["plan", "--detailed-exitcode"]).expect(0);
    world.pressluft(&["audit", "verify"]).expect(0);
}

#[test]
fn a_killed_apply_is_picked_up_by_the_next() {
    let world = one_site("kill");
    let (mut child, _) = apply_until_within(&world, "site_create");
    child.kill().expect("killed");
    child.wait().expect("gone");
    let jobs = world.jobs();
    assert!(
        jobs.iter().any(|job| job["status"] == "running"),
        "{jobs:?}"
    );
    world.pressluft(&["apply", "--auto-approve"]).expect(0);
    settled(&world);
}

#[test]
fn an_interrupted_apply_stops_cleanly() {
    let world = one_site("stop");
    let (mut child, rest) = apply_until_within(&world, "node_provision");
    let pid = i32::try_from(child.id()).expect("a pid");
    nix::sys::signal::kill(
        nix::unistd::Pid::from_raw(pid),
        nix::sys::signal::Signal::SIGINT,
    )
    .expect("a signal");
    let rest: Vec<Value> = rest.collect();
    assert_eq!(
        rest.last().map(|line| line["type"].clone()),
        Some("summary".into()),
        "{rest:?}"
    );
    assert_eq!(child.wait().expect("an end").code(), Some(130));
    for job in world.jobs() {
        assert_eq!(job["status"], "cancelled", "{job}");
    }
    world.pressluft(&["apply", "--auto-approve"]).expect(0);
    settled(&world);
}
