//! `kill -9` in the middle of a job: nothing is lost, and the next apply brings the site up.

use std::io::{BufRead, BufReader};
use std::process::Stdio;

use crate::support::World;

#[test]
fn a_killed_apply_is_picked_up_by_the_next() {
    let world = World::new("kill", 1);
    world.write(
        "pressluft.yaml",
        "kind: Fleet\nversion: 1\nname: kill\nSOURCES\n",
    );
    world.write("nodes.yaml", "kind: Node\nname: web-1\nhost: HOST1\n");
    world.write(
        "sites.yaml",
        "kind: Site\nname: acme\ntitle: Acme\nnode: web-1\n\
         admin: {user: owner, email: owner@acme.example}\n---\n\
         kind: Environment\nsite: acme\nname: production\ntype: production\n",
    );
    world.commit("One site");
    let mut child = world
        .command(&["apply", "--auto-approve", "--json"])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("pressluft runs");
    // Killed after the first task of site_create has ended: in its middle.
    let lines = BufReader::new(child.stdout.take().expect("a pipe")).lines();
    let mut creating = None;
    for line in lines {
        let line: serde_json::Value = serde_json::from_str(&line.expect("a line")).expect("JSON");
        if line["type"] == "job_started" && line["job_type"] == "site_create" {
            creating = Some(line["job_id"].clone());
        }
        if line["type"] == "task" && creating.as_ref() == Some(&line["job_id"]) {
            break;
        }
    }
    assert!(creating.is_some(), "site_create never began");
    child.kill().expect("killed");
    child.wait().expect("gone");

    let jobs = world.jobs();
    assert!(
        jobs.iter().any(|job| job["status"] == "running"),
        "{jobs:?}"
    );
    world.pressluft(&["apply", "--auto-approve"]).expect(0);
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
