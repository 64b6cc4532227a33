//! The node's side of the fence, on a real host: an old claim changes nothing, and the next job
//! waits for what the last one left running.

use std::time::Instant;

use serde_json::Value;

use crate::support::World;

const RECORD: &str = "/var/lib/pressluft/fence";
const LOCK: &str = "/run/pressluft/fence.lock";

fn end_of(lines: &[Value], job_type: &str) -> Value {
    lines
        .iter()
        .find(|line| line["type"] == "job_finished" && line["job_type"] == job_type)
        .unwrap_or_else(|| panic!("{job_type} has no end: {lines:?}"))
        .clone()
}

#[test]
fn the_node_keeps_old_claims_and_other_control_planes_out() {
    let world = World::new("fence", 1);
    world.write(
        "pressluft.yaml",
        "kind: Fleet\nversion: 1\nname: fence\nSOURCES\n---\nkind: Node\nname: web-1\nhost: HOST1\n",
    );
    world.commit("One node");
    world.pressluft(&["apply", "--auto-approve"]).expect(0);
    let record = world.ssh(1, &format!("cat {RECORD}"));
    let again = ["apply", "--auto-approve", "--json", "--rerun", "node/web-1"];
    let marker = "/etc/nginx/nginx.conf";

    let newer = record.replace("\"token\": ", "\"token\": 9");
    let foreign = record
        .replace("\"control_plane\": \"age1", "\"control_plane\": \"age2")
        .replace("\"name\": \"", "\"name\": \"the other of ");
    for (changed, word) in [(newer, "has come with 9"), (foreign, "`the other of ")] {
        world.ssh(1, &format!("rm -f {marker}; echo '{changed}' >{RECORD}"));
        let end = end_of(&world.pressluft(&again).expect(7).lines(), "node_provision");
        assert_eq!(end["error_code"], "NODE_FENCED", "{end}");
        let message = end["error_message"].as_str().expect("a message");
        assert!(message.contains(word), "{message}");
        // What differs was left as it is.
        world.ssh(1, &format!("test ! -e {marker}"));
    }

    // As the message says: once it is sure that nothing of the other runs, the record goes.
    world.ssh(1, &format!("rm {RECORD}"));
    world.pressluft(&again).expect(0);
    world.ssh(1, &format!("test -s {marker} && test -s {RECORD}"));

    // A program that the last job left behind has the lock still.
    world.ssh(
        1,
        &format!("nohup flock {LOCK} sleep 6 >/dev/null 2>&1 </dev/null & sleep 0.5"),
    );
    let begin = Instant::now();
    let lines = world.pressluft(&again).expect(0).lines();
    assert!(begin.elapsed().as_secs() >= 4, "it did not wait");
    assert!(
        lines
            .iter()
            .filter(|line| line["type"] == "task")
            .all(|line| line["status"] != "changed"),
        "{lines:?}"
    );
    world.pressluft(&["audit", "verify"]).expect(0);
}
