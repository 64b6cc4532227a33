//! What the engine costs on top of `ansible-playbook`: a measurement, not a test.
//!
//! `cargo test --test ansible_run overhead -- --ignored --nocapture`

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use pressluft::ansible::{Engine, Settings};

use crate::support::{Bench, Node, node, settings, venv};

const ROUNDS: usize = 9;

#[test]
#[ignore = "a measurement: it prints figures and asserts nothing about time"]
fn of_a_job() {
    let node = crate::node_or_skip!(node(1));
    for (name, tasks) in [
        ("no remote task", "- ansible.builtin.debug: {msg: x}"),
        ("one ping", "- ansible.builtin.ping:"),
    ] {
        let bench = Bench::new();
        let mut invocation = bench.invocation(&node, tasks);
        let plain = Plain::new(&bench, &node);
        let mut times: [Vec<Duration>; 2] = [Vec::new(), Vec::new()];
        // The first round of each makes its connection and is left out.
        for round in 0..=ROUNDS {
            invocation.attempt += 1;
            let begin = Instant::now();
            assert_eq!(bench.run(&invocation).outcome.failure, None);
            let ours = begin.elapsed();
            let theirs = plain.run();
            if round > 0 {
                times[0].push(ours);
                times[1].push(theirs);
            }
        }
        plain.close();
        let [ours, theirs] = times.map(|mut times| {
            times.sort();
            times[ROUNDS / 2]
        });
        println!(
            "{name}: engine {:.0} ms, ansible-playbook alone {:.0} ms, ratio {:.2}",
            ours.as_secs_f64() * 1e3,
            theirs.as_secs_f64() * 1e3,
            ours.as_secs_f64() / theirs.as_secs_f64()
        );
    }
}

/// The engine alone: a shell script stands where Ansible would be.
#[test]
#[ignore = "a measurement: it prints figures and asserts nothing about time"]
fn of_the_engine_itself() {
    use std::os::unix::fs::PermissionsExt;
    let node = crate::node_or_skip!(node(1));
    let mut bench = Bench::new();
    let venv = bench.state.path().join("venv");
    let information = venv.join("lib/python3/site-packages/ansible_core-0.dist-info");
    std::fs::create_dir_all(information).expect("made");
    std::fs::create_dir_all(venv.join("bin")).expect("made");
    let script = venv.join("bin/ansible-playbook");
    let event = r#"{"event":"stats","hosts":{"web-1":{"ok":1}}}"#;
    std::fs::write(&script, format!("#!/bin/sh\necho '{event}' >&3\n")).expect("written");
    std::fs::set_permissions(&script, PermissionsExt::from_mode(0o755)).expect("own file");
    let settings = Settings {
        venv: Some(venv),
        ..settings(bench.state.path())
    };
    bench.engine = Engine::locate(settings).expect("an engine");
    let mut invocation = bench.invocation(&node, "");
    let mut times = Vec::new();
    for round in 0..=10 * ROUNDS {
        invocation.attempt += 1;
        let begin = Instant::now();
        assert_eq!(bench.run(&invocation).outcome.failure, None);
        if round > 0 {
            times.push(begin.elapsed());
        }
    }
    times.sort();
    let millis = |time: Duration| time.as_secs_f64() * 1e3;
    println!(
        "engine alone: median {:.1} ms, best {:.1} ms",
        millis(times[times.len() / 2]),
        millis(times[0])
    );
}

/// `ansible-playbook` as people tune it by hand: pipelining and a warm connection.
struct Plain {
    dir: tempfile::TempDir,
    play: std::path::PathBuf,
    address: String,
}

impl Plain {
    fn new(bench: &Bench, node: &Node) -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        write_key(&dir, node);
        std::fs::write(
            dir.path().join("known_hosts"),
            format!("{} {}\n", node.address, node.host_key),
        )
        .expect("written");
        Self {
            dir,
            play: bench.state.path().join("play.yml"),
            address: node.address.clone(),
        }
    }

    fn ssh_arguments(&self) -> String {
        let dir = self.dir.path().display();
        format!(
            "-F none -o ControlMaster=auto -o ControlPersist=60s -o ControlPath={dir}/mux \
             -o UserKnownHostsFile={dir}/known_hosts -o StrictHostKeyChecking=yes -i {dir}/key"
        )
    }

    #[expect(
        clippy::disallowed_methods,
        reason = "what the engine is compared with"
    )]
    fn run(&self) -> Duration {
        let begin = Instant::now();
        let status = Command::new(venv().join("bin/ansible-playbook"))
            .args(["-i", &format!("{},", self.address), "-u", "root"])
            .args(["-e", "ansible_python_interpreter=/usr/bin/python3"])
            .arg(&self.play)
            .env("LC_ALL", "C.UTF-8")
            .env("ANSIBLE_PIPELINING", "1")
            .env("ANSIBLE_SSH_ARGS", self.ssh_arguments())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .expect("started");
        assert!(status.success());
        begin.elapsed()
    }

    #[expect(
        clippy::disallowed_methods,
        reason = "what the engine is compared with"
    )]
    fn close(&self) {
        let socket = format!("ControlPath={}/mux", self.dir.path().display());
        Command::new("ssh")
            .args(["-F", "none", "-o", &socket, "-O", "exit", &self.address])
            .stderr(Stdio::null())
            .status()
            .expect("started");
    }
}

fn write_key(dir: &tempfile::TempDir, node: &Node) {
    use std::io::Write;
    use std::os::unix::fs::OpenOptionsExt;
    let mut options = std::fs::OpenOptions::new();
    options
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(dir.path().join("key"))
        .expect("new")
        .write_all(node.key.as_bytes())
        .expect("written");
}
