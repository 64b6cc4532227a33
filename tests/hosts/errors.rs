//! Every way in which a node can refuse has its own code and a hint, and stops no other node.

use serde_json::Value;

use crate::support::World;

#[test]
fn each_refusal_has_its_code_and_the_others_go_on() {
    let world = World::new("err", 4);
    // Host 3 lets nobody in, host 4 has no Python.
    world.ssh(
        3,
        "rm /root/.ssh/authorized_keys.pressluft 2>/dev/null; true",
    );
    let key = world.pressluft(&["ssh-key"]).expect(0).stdout;
    let material = key.split_whitespace().nth(1).expect("a key").to_owned();
    world.ssh(
        3,
        &format!("sed -i '\\#{material}#d' /root/.ssh/authorized_keys"),
    );
    world.ssh(4, "mv /usr/bin/python3 /usr/bin/python3.away");
    let foreign = world
        .fleet(&["hostkey", "1"])
        .expect(0)
        .stdout
        .trim()
        .to_owned();

    world.write(
        "pressluft.yaml",
        "kind: Fleet\nversion: 1\nname: errors\nSOURCES\n",
    );
    world.write(
        "nodes.yaml",
        &format!(
            "kind: Node\nname: good\nhost: HOST1\n---\n\
             kind: Node\nname: impostor\nhost: HOST2\nssh: {{host_key: \"{foreign}\"}}\n---\n\
             kind: Node\nname: stranger\nhost: HOST3\n---\n\
             kind: Node\nname: snakeless\nhost: HOST4\n---\n\
             kind: Node\nname: nowhere\nhost: HOST1\npublic_ip: 192.0.2.9\nssh: {{port: 9}}\n"
        )
        .replace("name: nowhere\nhost: HOST1", "name: nowhere\nhost: HOST8"),
    );
    world.commit("Nodes of all kinds");
    let ran = world
        .pressluft(&["apply", "--auto-approve", "--json"])
        .expect(7);
    let ends: Vec<Value> = ran
        .lines()
        .into_iter()
        .filter(|line| line["type"] == "job_finished")
        .collect();
    let code = |node: &str| {
        let end = ends
            .iter()
            .find(|end| end["node"] == node)
            .unwrap_or_else(|| panic!("{node}"));
        (end["status"].clone(), end["error_code"].clone())
    };
    assert_eq!(code("good"), ("succeeded".into(), Value::Null));
    for (node, expected) in [
        ("impostor", "SSH_HOST_KEY_MISMATCH"),
        ("stranger", "SSH_AUTH_FAILED"),
        ("snakeless", "NODE_PYTHON_MISSING"),
    ] {
        assert_eq!(code(node), ("failed".into(), expected.into()), "{node}");
    }
    // It waits for its node, and nobody waits for it.
    let expected = "ANSIBLE_HOST_UNREACHABLE";
    assert_eq!(code("nowhere"), ("queued".into(), expected.into()));
    for job in world.jobs().iter().filter(|job| job["status"] == "failed") {
        let message = job["error_message"].as_str().unwrap_or("");
        assert!(message.contains("hint: "), "{job}");
    }
    world.pressluft(&["audit", "verify"]).expect(0);
}
