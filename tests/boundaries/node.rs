//! A hostile node against the control plane.

use serde_json::{Value, json};

use crate::support::{Ran, World};

/// Stands in the place of the node's Python. A request of a program that it has an answer for gets
/// that answer; whatever else it is called for, the real one does.
const IMPOSTOR: &str = r#"#!/usr/bin/python3.11 -IS
import json, os, subprocess, sys, zlib
REAL = ["/usr/bin/python3.11"] + sys.argv[1:]
if sys.argv[1:4] != ["-I", "-S", "-c"]:
    os.execv(REAL[0], REAL)
asked = sys.stdin.buffer.read()
answer = "/root/answers/" + json.loads(zlib.decompress(asked))["program"]
if os.path.exists(answer):
    sys.stdout.write("\x1e" + open(answer).read() + "\n")
else:
    sys.exit(subprocess.run(REAL, input=asked).returncode)
"#;

fn fleet(world: &World) {
    world.write(
        "pressluft.yaml",
        "kind: Fleet\nversion: 1\nname: hostile\nSOURCES\n",
    );
    world.write(
        "nodes.yaml",
        "kind: Node\nname: web-1\nhost: HOST1\n---\nkind: Node\nname: web-2\nhost: HOST2\n",
    );
    world.write(
        "sites/acme.yaml",
        "kind: Site\nname: acme\ntitle: Acme\nnode: web-1\n\
         admin: {user: owner, email: owner@acme.example}\n---\n\
         kind: Environment\nsite: acme\nname: production\ntype: production\n\
         php: {memory: 128M, workers: 2}\n",
    );
    world.commit("Two nodes and a site");
    world.pressluft(&["apply", "--auto-approve"]).expect(0);
}

/// What would have the control plane run a command when it next connects to the node.
fn attack(marker: &str, honest: Value) -> Value {
    let command = format!("-o ProxyCommand='touch {marker}'");
    let variables = json!({
        "ansible_ssh_args": command,
        "ansible_ssh_extra_args": format!("-S none {command}"),
        "ansible_ssh_common_args": command,
    });
    let mut answer = honest;
    answer["changed"] = json!(true);
    answer["add_host"] = json!({"host_name": "web-1", "groups": [], "host_vars": variables});
    answer["ansible_facts"] = variables;
    answer
}

fn answers_with(world: &World, program: &str, answer: &Value) {
    let text = answer.to_string().replace('\'', "'\\''");
    world.ssh(
        1,
        &format!(
            "rm -rf /root/answers; mkdir /root/answers; printf %s '{text}' >/root/answers/{program}"
        ),
    );
}

/// The end of the job for this resource.
fn end_of(ran: &Ran, resource: &str) -> Value {
    let lines = ran.lines();
    lines
        .iter()
        .find(|line| line["type"] == "job_finished" && line["resource"] == resource)
        .unwrap_or_else(|| panic!("no end of {resource}: {lines:?}"))
        .clone()
}

#[track_caller]
fn is_refused(world: &World, ran: &Ran, resource: &str, marker: &str) {
    assert!(
        !std::path::Path::new(marker).exists(),
        "a command of the node ran on the control plane"
    );
    assert_eq!(ran.code, 7, "{}", ran.stdout);
    let end = end_of(ran, resource);
    let told = (&end["status"], &end["error_code"]);
    assert_eq!(
        told,
        (&json!("failed"), &json!("NODE_ANSWER_REFUSED")),
        "{end}"
    );
    let message = end["error_message"].as_str().unwrap_or_default();
    assert!(message.contains("`add_host`"), "{message}");
    world.pressluft(&["audit", "verify"]).expect(0);
}

/// A step may find something that no job puts back, whether or not it would change something too.
fn what_is_left_to_a_person_is_told(world: &World) {
    let clean = json!({"changed": false});
    let both = json!({"changed": true, "by_hand": ["`rogue` may FILE", "`rogue` has a trigger"]});
    let results = [&clean, &clean, &clean, &clean, &both];
    answers_with(world, "converge", &json!({ "results": results }));
    let ran = world
        .pressluft(&["drift", "node/web-1", "--json"])
        .expect(2);
    let lines = ran.lines();
    let found = lines.iter().find(|line| line["type"] == "drift");
    let found = found.unwrap_or_else(|| panic!("no drift: {lines:?}"));
    let task = "Secure the database server";
    let expected = json!([
        {"name": task, "diff": null, "by_hand": false},
        {"name": format!("{task}: `rogue` may FILE"), "diff": null, "by_hand": true},
        {"name": format!("{task}: `rogue` has a trigger"), "diff": null, "by_hand": true},
    ]);
    assert_eq!(found["tasks"], expected);
    let job = world.show(&json!({"id": found["job_id"]}));
    assert!(
        job.to_string()
            .contains("only by hand to put back: `rogue` may FILE"),
        "{job}"
    );
}

#[test]
fn an_answer_of_a_node_runs_nothing_on_the_control_plane() {
    let world = World::new("answer", 2);
    fleet(&world);
    let marker = world.dir.path().join("marker").display().to_string();
    std::fs::write(world.dir.path().join("impostor"), IMPOSTOR).expect("a file");
    world.ssh(
        1,
        &format!("rm /usr/bin/python3 && cat >/usr/bin/python3 <<'END'\n{IMPOSTOR}END\nchmod 755 /usr/bin/python3"),
    );
    let again = |words: &[&str]| {
        let rerun = words.iter().flat_map(|id| ["--rerun", *id]);
        let words: Vec<&str> = ["apply", "--auto-approve", "--json"]
            .into_iter()
            .chain(rerun)
            .collect();
        world.pressluft(&words)
    };
    let facts = world.pressluft(&["describe", "node/web-1", "-o", "json"]);
    let facts = facts.expect(0).json()["facts"].clone();

    // A later step of an environment's configuration, with a task behind it that would connect.
    answers_with(&world, "converge", &attack(&marker, json!({})));
    let ran = again(&["env/acme/production"]);
    is_refused(&world, &ran, "env/acme/production", &marker);
    let step = attack(&marker, json!({"seconds": 0.1}));
    answers_with(&world, "converge", &json!({"results": [step]}));
    let ran = again(&["env/acme/production"]);
    is_refused(&world, &ran, "env/acme/production", &marker);

    // The health check that follows a change.
    let health = json!({"findings": [], "checks": {}});
    answers_with(&world, "health", &attack(&marker, health));
    world.edit("sites/acme.yaml", "memory: 128M", "memory: 160M");
    world.commit("More memory");
    let ran = again(&[]);
    is_refused(&world, &ran, "env/acme/production", &marker);

    // Facts, while another node has work as well.
    answers_with(&world, "facts", &attack(&marker, json!({ "facts": facts })));
    let ran = again(&["node/web-1", "node/web-2"]);
    is_refused(&world, &ran, "node/web-1", &marker);
    assert_eq!(end_of(&ran, "node/web-2")["status"], "succeeded");

    // Facts of the right form that no node has are recorded nowhere.
    let mut other = facts.clone();
    other["ipv4"] = json!(["203.0.113.1; touch x"]);
    answers_with(&world, "facts", &json!({"changed": false, "facts": other}));
    let ran = again(&["node/web-1"]).expect(7);
    let end = end_of(&ran, "node/web-1");
    assert_eq!(end["error_code"], "NODE_ANSWER_REFUSED", "{end}");
    let now = world.pressluft(&["describe", "node/web-1", "-o", "json"]);
    assert_eq!(now.expect(0).json()["facts"]["ipv4"], facts["ipv4"]);

    what_is_left_to_a_person_is_told(&world);

    // Once the node is itself again, so is its work.
    world.ssh(1, "ln -sf python3.11 /usr/bin/python3");
    again(&["node/web-1"]).expect(0);
    world.pressluft(&["audit", "verify"]).expect(0);
}
