//! A hostile node, on the day on which the allow-list for its answers has a hole.
//!
//! The hole is made by hand, in the unpacked collection. `tests/ansible_run/confined.rs` tries more, without hosts of its
//! own.

use std::fs;
use std::path::PathBuf;

use serde_json::{Value, json};

use crate::support::World;

/// Stands in the place of the node's Python, and answers with what lies beside it.
const IMPOSTOR: &str = "#!/bin/sh\ncat >/dev/null\nprintf '\\036'\ncat /root/answer\necho\n";

/// What a node would have Ansible's process do, and what came of it.
const CODE: &str = r#"
import glob, os, subprocess
def tried(name, work):
    try:
        work()
        told.append("GOT " + name)
    except Exception as error:
        told.append("refused " + name)
def read(path):
    with open(path, "rb") as stream:
        return stream.read(1)
def write(path):
    with open(path, "w") as stream:
        stream.write("x")
for path in ["STATE/secrets/identity.age", "STATE/pressluft.db", "STATE/ssh/id_ed25519", "REPO/pressluft.yaml",
             "REPO/.git/HEAD", "STATE/run/other/play/secrets.json", "/etc/shadow", "/proc/1/environ"]:
    tried(path, lambda: read(path))
for path in ["STATE", "STATE/run", "STATE/secrets", "REPO"]:
    tried("list " + path, lambda: os.listdir(path))
for path in ["STATE/new", "STATE/run/other/new", "REPO/new", "/tmp/pressluft-new", "MARKER"]:
    tried("write " + path, lambda: write(path))
tried("program", lambda: subprocess.run(["/bin/true"], check=True))
tried("chmod", lambda: os.chmod("STATE/pressluft.db", 0o666))
told.append("its own " + ("vars.json" if read("vars.json") else ""))
"#;

/// Takes the allow-list out of the collection that this state directory has unpacked.
fn make_hole(world: &World, engine: &str) {
    let content = fs::read_dir(world.state().join("ansible")).expect("unpacked");
    let content = content.flatten().map(|entry| entry.path());
    let content = content.filter(|path| path.join("playbooks").is_dir());
    let below = "collections/ansible_collections/pressluft/host/plugins/plugin_utils/remote.py";
    let paths: Vec<PathBuf> = content.map(|path| path.join(below)).collect();
    assert_eq!(paths.len(), 1, "{engine}");
    let text = fs::read_to_string(&paths[0]).expect("a text");
    let guard = "        answer = read(output)\n";
    let hole = "        answer = json.loads(output.rpartition(MARK.encode())[2])\n\
                \x20       told = []\n\
                \x20       exec(answer.pop('run', ''), {'told': told})\n\
                \x20       if told:\n\
                \x20           answer.update(rc=127, msg='; '.join(told) + '\\npython3: not found')\n";
    assert!(
        text.contains(guard) || text.contains("answer.pop('run'"),
        "the guard stands elsewhere"
    );
    fs::remove_file(&paths[0]).expect("ours");
    let text = text.replace(guard, hole);
    let text = text.replace("import json\n", "import json\nMARK = '\\x1e'\n");
    fs::write(&paths[0], text).expect("written");
}

fn answers(world: &World, answer: &Value) {
    let path = world.dir.path().join("answer");
    fs::write(&path, answer.to_string()).expect("written");
    let text = answer.to_string().replace('\'', "'\\''");
    world.ssh(1, &format!("printf %s '{text}' >/root/answer"));
}

#[test]
fn without_the_allow_list_a_node_finds_nothing() {
    let world = World::new("hole", 1);
    world.write(
        "pressluft.yaml",
        "kind: Fleet\nversion: 1\nname: hole\nansible: {engine: warm}\nSOURCES\n",
    );
    world.write(
        "node.yaml",
        "kind: Node\nname: web-1\nhost: HOST1\nssh: {key: \"secret:nodes/web-1/ssh\"}\n",
    );
    world.commit("A node");
    world.pressluft(&["secret", "keygen"]).expect(0);
    let key = world.fleet(&["key"]).expect(0).stdout;
    let key = [
        "secret",
        "set",
        "nodes/web-1/ssh",
        "--from-file",
        key.trim(),
    ];
    world.pressluft(&key).expect(0);
    // Another job's attempt, which the next engine does not sweep because somebody holds it.
    let other = world.state().join("run/other/play");
    fs::create_dir_all(&other).expect("made");
    fs::write(other.join("secrets.json"), "{}").expect("written");
    let lock = fs::File::create(other.with_file_name(".lock")).expect("made");
    lock.lock().expect("nobody else's");
    world.ssh(
        1,
        &format!(
            "rm /usr/bin/python3; printf '{}' >/usr/bin/python3; chmod 755 /usr/bin/python3",
            IMPOSTOR
                .replace('\\', "\\\\")
                .replace('\n', "\\n")
                .replace('\'', "'\\''")
        ),
    );
    let marker = world.dir.path().join("marker");
    let [state, repo, mark] = [world.state(), world.repo(), marker.clone()];
    let code = CODE
        .replace("STATE", &state.display().to_string())
        .replace("REPO", &repo.display().to_string())
        .replace("MARKER", &mark.display().to_string());
    for engine in ["warm", "plain"] {
        world.edit(
            "pressluft.yaml",
            "engine: warm",
            &format!("engine: {engine}"),
        );
        // Unpacks the collection, and is refused.
        answers(
            &world,
            &json!({"changed": false, "failed": true, "run": code}),
        );
        world.pressluft(&["apply", "--auto-approve"]).expect(7);
        let refused = world.jobs().last().expect("a job").clone();
        if engine == "warm" {
            assert_eq!(refused["error_code"], "NODE_ANSWER_REFUSED", "{refused}");
        }
        make_hole(&world, engine);
        world.pressluft(&["apply", "--auto-approve"]).expect(7);
        let job = world.jobs().last().expect("a job").clone();
        let said = job["error_message"].as_str().unwrap_or_default();
        assert!(said.contains("refused list"), "the code ran: {job}");
        assert!(said.contains("its own vars.json"), "its own: {said}");
        assert!(!said.contains("GOT "), "{said}");

        // The command that once ran: another connection for the next task.
        let command = format!("-o ProxyCommand='touch {}'", marker.display());
        let variables = json!({
            "ansible_connection": "local",
            "ansible_ssh_extra_args": command,
            "ansible_ssh_common_args": command,
        });
        answers(
            &world,
            &json!({
                "changed": true,
                "add_host": {"host_name": "web-1", "groups": [], "host_vars": variables},
                "ansible_facts": variables,
            }),
        );
        world.pressluft(&["apply", "--auto-approve"]).expect(7);
        assert!(
            !marker.exists(),
            "a command of the node ran on the control plane"
        );
    }
    drop(lock);
    world.pressluft(&["audit", "verify"]).expect(0);
}
