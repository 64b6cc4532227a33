//! What a job costs besides what it does: the engine against `ansible-playbook` as people tune it
//! by hand, on one real node, in one run. The node is the first of the fleet of `ansible_run`.

#![expect(
    clippy::expect_used,
    reason = "a measurement ends where something is missing"
)]
#![expect(clippy::print_stdout, reason = "it says what it measured")]

use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use pressluft::ansible::{Engine, Settings};
use pressluft::core::document::fleet::AnsibleEngine;

use support::{Bench, Node, node, settings, venv};

#[path = "../tests/ansible_run/support.rs"]
#[expect(dead_code, reason = "tests need more of it")]
mod support;

const ROUNDS: usize = 9;

/// An empty job takes at most this part of an empty `ansible-playbook`.
const TARGET: f64 = 0.25;

fn main() -> ExitCode {
    let Some(node) = node(1) else {
        println!("not measured: this machine cannot boot test hosts (`fleet check` says why)");
        return ExitCode::SUCCESS;
    };
    let empty = ratios(
        &node,
        "empty job",
        "\n    - ansible.builtin.debug: {msg: nothing}",
    );
    ratios(&node, "one ping", "\n    - ansible.builtin.ping:");
    engine_alone(&node);
    let word = if empty <= TARGET { "PASS" } else { "MISS" };
    println!("empty job  ratio {empty:.2}  target {TARGET}  {word}");
    ExitCode::from(u8::from(empty > TARGET))
}

/// Measures in turns and prints medians; the warm engine's part of `ansible-playbook` alone.
fn ratios(node: &Node, name: &str, tasks: &str) -> f64 {
    let benches = [AnsibleEngine::Warm, AnsibleEngine::Plain].map(Bench::new);
    let text = format!("- hosts: all\n  gather_facts: false\n  tasks: {tasks}\n");
    let alone = Plain::new(&benches[0], node);
    let mut times: [Vec<Duration>; 3] = Default::default();
    // The first round of each loads Ansible and makes its connection, and is left out.
    for round in 0..=ROUNDS {
        for (bench, times) in benches.iter().zip(&mut times) {
            let mut invocation = bench.invocation(node, "");
            std::fs::write(bench.state.path().join("play.yml"), &text).expect("written");
            invocation.attempt = u32::try_from(round).expect("a small number");
            let begin = Instant::now();
            assert_eq!(bench.run(&invocation).outcome.failure, None);
            if round > 0 {
                times.push(begin.elapsed());
            }
        }
        let took = alone.run();
        if round > 0 {
            times[2].push(took);
        }
    }
    alone.close();
    let [warm, plain, alone] = times.map(|times| median(times).as_secs_f64() * 1e3);
    println!(
        "{name:<10} warm {warm:5.0} ms, plain {plain:5.0} ms, ansible-playbook {alone:5.0} ms  ratio \
         {:.2} and {:.2}",
        warm / alone,
        plain / alone,
    );
    warm / alone
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times[times.len() / 2]
}

/// The engine without Ansible: a shell script stands in its place.
fn engine_alone(node: &Node) {
    use std::os::unix::fs::PermissionsExt;
    let mut bench = Bench::new(AnsibleEngine::Plain);
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
    let mut invocation = bench.invocation(node, "");
    let mut times = Vec::new();
    for round in 0..=10 * ROUNDS {
        invocation.attempt += 1;
        let begin = Instant::now();
        assert_eq!(bench.run(&invocation).outcome.failure, None);
        if round > 0 {
            times.push(begin.elapsed());
        }
    }
    let best = times.iter().min().expect("some").as_secs_f64() * 1e3;
    let median = median(times).as_secs_f64() * 1e3;
    println!(
        "engine without Ansible, from its directory to its end: median {median:.1} ms, best {best:.1} ms"
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
