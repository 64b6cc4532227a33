//! A commit against the control plane, against other sites, and against the nodes.
//!
//! Most of what a commit can do to secrets ends before any host is asked, so the tests of that need none:
//! `tests/program/secrets.rs` (commits, saved plans, queued jobs), `tests/documents/secrets.rs` (every field
//! of every schema), `tests/documents/ownership.rs` (code owners), `tests/secrets/owners.rs` (copied files).

use std::fs;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::os::unix::fs::symlink;
use std::process::Child;
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

use crate::support::World;

/// A worker; it ends with the test.
struct Worker(Child);

impl Drop for Worker {
    fn drop(&mut self) {
        let pid = i32::try_from(self.0.id()).expect("a pid");
        // The second request ends what still runs.
        for _ in 0..2 {
            kill(Pid::from_raw(pid), Signal::SIGTERM).ok();
            thread::sleep(Duration::from_millis(200));
        }
        self.0.wait().expect("it ended");
    }
}

fn source_node(world: &World, wp_cli: &str) {
    let fleet = format!("kind: Fleet\nversion: 1\nname: sources\nsources: {{wp_cli: {wp_cli}}}\n");
    world.write("pressluft.yaml", &fleet);
    world.write("node.yaml", "kind: Node\nname: web-1\nhost: HOST1\n");
    world.commit("A source");
}

/// What the first attempt at provisioning says, with these variables of the environment.
fn source_says(world: &World, environment: &[(&str, &str)]) -> String {
    let queue = [
        "apply",
        "--no-wait",
        "--auto-approve",
        "--rerun",
        "node/web-1",
    ];
    let mut apply = world.command(&queue);
    let queued = apply.envs(environment.iter().copied()).output();
    let queued = queued.expect("it runs");
    assert!(queued.status.success(), "{queued:?}");
    let mut worker = world.command(&["worker"]);
    let worker = worker.envs(environment.iter().copied()).spawn();
    let worker = Worker(worker.expect("it runs"));
    let deadline = Instant::now() + Duration::from_secs(120);
    let said = loop {
        let jobs = world.jobs();
        let job = jobs.last().expect("a job");
        if job["status"] == "succeeded" {
            break String::new();
        }
        if let Some(message) = job["error_message"].as_str() {
            let code = job["error_code"].as_str().unwrap_or_default();
            break format!("{code} {message}");
        }
        assert!(Instant::now() < deadline, "{job}");
        thread::sleep(Duration::from_millis(200));
    };
    drop(worker);
    let jobs = world.jobs();
    let job = jobs.last().expect("a job");
    if job["status"] == "queued" {
        let id = job["id"].as_str().expect("an id");
        world.pressluft(&["jobs", "cancel", id]).expect(0);
    }
    said
}

#[test]
fn source_of_a_program_is_no_secret_of_the_control_plane() {
    let world = World::new("srcsec", 1);
    // Where commits may name files, a careless hand has left ways out.
    let sources = world.dir.path().join("sources");
    fs::create_dir_all(&sources).expect("made");
    let directory = sources.display().to_string();
    let environment = [("PRESSLUFT_SOURCES_DIR", directory.as_str())];
    world.pressluft(&["secret", "keygen"]);
    let identity = fs::read_dir(world.state().join("secrets"))
        .expect("read")
        .map(|entry| entry.expect("an entry").path())
        .find(|path| fs::read_to_string(path).is_ok_and(|text| text.contains("AGE-SECRET-KEY")))
        .expect("an identity");
    symlink(&identity, sources.join("link")).expect("made");
    symlink("/proc/self/environ", sources.join("environ")).expect("made");
    symlink(world.state(), sources.join("state")).expect("made");
    fs::hard_link(&identity, sources.join("hard")).expect("made");
    fs::write(sources.join("other"), "something").expect("written");
    let digest = "0".repeat(64);
    let absolute = identity.display().to_string();
    for (path, says) in [
        (absolute.as_str(), "does not lie below"),
        ("/proc/self/environ", "does not lie below"),
        ("link", "`link` of it is a symbolic link"),
        ("environ", "`environ` of it is a symbolic link"),
        ("state/secrets/identity", "`state` of it is a symbolic link"),
        ("hard", "`hard` of it has another name"),
        ("other", "is not what `sources.wp_cli` asks for"),
    ] {
        source_node(&world, &format!("{{path: {path}, sha256: {digest}}}"));
        let said = source_says(&world, &environment);
        assert!(said.starts_with("SOURCE_UNAVAILABLE "), "{path}: {said}");
        assert!(
            said.contains(says) && !said.contains("AGE-SECRET"),
            "{path}: {said}"
        );
        world.ssh(1, "! test -e /usr/local/bin/wp");
    }
}

/// Serves `content` to whoever asks, and counts those who do.
fn source_server(content: Vec<u8>) -> u16 {
    let listener = TcpListener::bind("0.0.0.0:0").expect("bound");
    let port = listener.local_addr().expect("an address").port();
    thread::spawn(move || {
        for mut stream in listener.incoming().map_while(Result::ok) {
            let mut head = [0; 2048];
            let length = stream.read(&mut head).unwrap_or(0);
            let is_away = head[..length].starts_with(b"GET /away ");
            let answer = match is_away {
                true => b"HTTP/1.1 302 Found\r\nLocation: http://169.254.169.254/\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".to_vec(),
                false => {
                    let mut answer = format!(
                        "HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
                        content.len()
                    )
                    .into_bytes();
                    answer.extend(&content);
                    answer
                }
            };
            // Whoever goes away has seen enough.
            stream.write_all(&answer).ok();
        }
    });
    port
}

#[test]
fn source_at_a_private_address_is_fetched_only_when_the_settings_allow_it() {
    let world = World::new("srcnet", 1);
    let gateway = world.fleet(&["gateway"]).expect(0).stdout;
    let (path, digest) = world.wp_cli();
    let port = source_server(fs::read(path).expect("read"));
    // A name that the node resolves, as an attacker's own would.
    world.ssh(
        1,
        &format!("echo '{} mirror.example' >>/etc/hosts", gateway.trim()),
    );
    let source =
        |path: &str| format!("{{url: \"http://mirror.example:{port}/{path}\", sha512: {digest}}}");
    source_node(&world, &source("wp-cli.phar"));
    let said = source_says(&world, &[]);
    assert!(said.contains("leads to the private address"), "{said}");
    world.ssh(1, "! test -e /usr/local/bin/wp");
    let allowed = [("PRESSLUFT_SOURCES_ALLOW_PRIVATE", "mirror.example")];
    source_node(&world, &source("away"));
    let said = source_says(&world, &allowed);
    assert!(
        said.contains("leads to the private address `169.254.169.254`"),
        "{said}"
    );
    world.ssh(1, "! test -e /usr/local/bin/wp");
    source_node(&world, &source("wp-cli.phar"));
    assert_eq!(source_says(&world, &allowed), "");
    world.ssh(1, "test -x /usr/local/bin/wp");
}

#[test]
fn template_that_waits_for_a_real_node_ends_its_job_and_no_other() {
    let world = World::new("tmplb", 2);
    world.write(
        "pressluft.yaml",
        "kind: Fleet\nversion: 1\nname: templates\nSOURCES\n",
    );
    world.write(
        "nodes.yaml",
        "kind: Node\nname: web-1\nhost: HOST1\n---\nkind: Node\nname: web-2\nhost: HOST2\n",
    );
    // A picture has the kernel of a picture.
    world.write(
        "templates/sysctl/pressluft.conf",
        "{% if facts.kernel != '6.1.0' and node.name == 'web-1' %}\
         {% set n = namespace(x='xxxxxxxxxxxxxxxx') %}\
         {% for i in range(60) %}{% set n.x = n.x ~ n.x %}{% endfor %}{% endif %}\
         # sysctl\n",
    );
    world.commit("A template");
    world.pressluft(&["validate"]).expect(0);
    let ran = world
        .pressluft(&["apply", "--auto-approve", "--json"])
        .expect(7);
    let ends = ran.lines();
    let end = |node: &str| -> Value {
        let found = ends
            .iter()
            .find(|line| line["type"] == "job_finished" && line["node"] == node);
        found.cloned().unwrap_or_default()
    };
    assert_eq!(
        end("web-1")["error_code"],
        "RENDER_FAILED",
        "{}",
        end("web-1")
    );
    assert_eq!(end("web-2")["status"], "succeeded", "{}", end("web-2"));
    let message = world.jobs();
    let message = message.iter().find_map(|job| job["error_message"].as_str());
    let message = message.expect("it says why");
    assert!(message.contains("`sysctl/pressluft.conf`"), "{message}");
    assert!(message.contains("takes more than"), "{message}");
}

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
    fs::write(&value, "s3cr3t-of-acme").expect("a file");
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
    world.pressluft(&["apply", "--auto-approve"]).expect(0);
    let written = world.ssh(1, "cat /etc/logrotate.d/pressluft-*");
    assert!(written.contains("# (sensitive)"), "{written}");

    world.git(&["rm", "-q", template]);
    world.commit("Without it");
    world.pressluft(&["apply", "--auto-approve"]).expect(0);
    let config = world.ssh(1, "cat /var/www/sites/acme/production/shared/wp-config.php");
    assert!(config.contains("s3cr3t-of-acme"), "{config}");
    let text = fs::read_to_string(key).expect("the key");
    // The first lines are the same in every key.
    let line = text.lines().nth(3).expect("it has several lines");
    let found = World::files_with(&world.state(), line);
    assert!(found.is_empty(), "{found:?}");
}
