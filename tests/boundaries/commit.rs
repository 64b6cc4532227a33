//! A commit against the control plane, against other sites, and against the nodes.
//!
//! Most of what a commit can do to secrets ends before any host is asked, so the tests of that need none:
//! `tests/program/secrets.rs` (commits, saved plans, queued jobs), `tests/documents/secrets.rs` (every field
//! of every schema), `tests/documents/ownership.rs` (code owners), `tests/secrets/owners.rs` (copied files).

use crate::support::World;

#[test]
fn secret_key_of_a_node_is_for_the_connection_alone() {
    let world = World::new("csecret", 1);
    world.pressluft(&["secret", "keygen"]).expect(0);
    let key = world.fleet(&["key"]).expect(0).stdout.trim().to_owned();
    let set = |name: &str, file: &str| {
        world
            .pressluft(&["secret", "set", name, "--from-file", file])
            .expect(0);
    };
    set("nodes/web-1/ssh", &key);
    let value = world.dir.path().join("value");
    std::fs::write(&value, "s3cr3t-of-acme").expect("a file");
    set("sites/acme/key", &value.display().to_string());
    // Without its own key the node is not reached any more.
    world.ssh(
        1,
        "cd /root/.ssh && head -n 1 authorized_keys >one && cat one >authorized_keys",
    );
    world.write(
        "pressluft.yaml",
        "kind: Fleet\nversion: 1\nname: secrets\nownership: { by_path: true }\nSOURCES\n",
    );
    world.write(
        "nodes/web-1.yaml",
        "kind: Node\nname: web-1\nhost: HOST1\nssh: { key: \"secret:nodes/web-1/ssh\" }\n",
    );
    world.write(
        "sites/acme.yaml",
        "kind: Site\nname: acme\nnode: web-1\nadmin: { email: owner@acme.example }\n---\n\
         kind: Environment\nsite: acme\nname: production\ntype: production\n\
         php: { memory: 128M, workers: 2 }\nconstants: { ACME_KEY: \"secret:sites/acme/key\" }\n",
    );
    // A template is rendered for each environment, and looks up what it likes.
    let template = "templates/logrotate/environment.conf";
    world.write(
        template,
        "# {{ \"secret:nodes/web-1/ssh\" | resolve }}\n/tmp/none {\n}\n",
    );
    world.commit("A template that wants the key");
    let ran = world.pressluft(&["apply", "--auto-approve"]);
    assert_ne!(ran.code, 0, "{}", ran.stdout);
    assert!(
        !world
            .ssh(1, "cat /etc/logrotate.d/*")
            .contains("PRIVATE KEY")
    );

    world.git(&["rm", "-q", template]);
    world.commit("Without it");
    world.pressluft(&["apply", "--auto-approve"]).expect(0);
    let config = world.ssh(1, "cat /var/www/sites/acme/production/shared/wp-config.php");
    assert!(config.contains("s3cr3t-of-acme"), "{config}");
    let text = std::fs::read_to_string(key).expect("the key");
    // The first lines are the same in every key.
    let line = text.lines().nth(3).expect("it has several lines");
    let found = World::files_with(&world.state(), line);
    assert!(found.is_empty(), "{found:?}");
}
