//! The two ways to run Ansible say the same, and the warm one gives way to the plain one.

use std::fs;
use std::path::Path;
use std::thread;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use pressluft::ansible::{Cancel, Invocation, Playbook};
use pressluft::core::document::fleet::AnsibleEngine;
use pressluft::core::event::Event;
use pressluft::core::job::ErrorCode;
use pressluft::core::outcome::ProcessEnd;
use serde_json::json;

use crate::support::{Bench, Node, node, within};

const PING: &str = "- ansible.builtin.ping:";

/// A way to end, and the change of the invocation that it takes.
type Case = (&'static str, &'static str, fn(&mut Invocation));

const fn unchanged(_: &mut Invocation) {}

/// One of each way to end.
const CASES: &[Case] = &[
    ("success", PING, unchanged),
    (
        "a change and its difference",
        "- ansible.builtin.copy: {content: \"{{ pressluft.site.title }}\\n\", dest: /tmp/same, mode: '0644'}",
        |i| i.diff = true,
    ),
    (
        "a predicted change",
        "- ansible.builtin.copy: {content: \"other\\n\", dest: /tmp/same, mode: '0600'}",
        |i| {
            i.diff = true;
            i.check = true;
        },
    ),
    ("verbose", PING, |i| i.verbosity = 1),
    (
        "failed",
        "- ansible.builtin.command: sh -c 'echo out; echo err >&2; exit 3'",
        unchanged,
    ),
    (
        "undefined",
        "- ansible.builtin.debug: {msg: '{{ not_there }}'}",
        unchanged,
    ),
    ("unknown module", "- no_such.module.at_all:", unchanged),
    (
        "unknown keyword",
        "- ansible.builtin.ping:\n  no_such_keyword: 1",
        unchanged,
    ),
    ("no YAML", "- {broken", unchanged),
    (
        "unsupported",
        "- ansible.builtin.assert: {that: 1 == 2, fail_msg: 'NODE_UNSUPPORTED: too old'}",
        unchanged,
    ),
    (
        "task timeout",
        "- ansible.builtin.command: sleep 20\n  timeout: 1",
        unchanged,
    ),
    (
        "forgiven",
        "- ansible.builtin.command: /bin/false\n  ignore_errors: true\n\
         - block:\n    - ansible.builtin.command: /bin/false\n  rescue:\n    - ansible.builtin.ping:",
        unchanged,
    ),
    (
        "a loop",
        "- ansible.builtin.command: test {{ item }} = a\n  loop: [a, b]",
        unchanged,
    ),
    (
        "hidden",
        "- ansible.builtin.command: sh -c 'echo secret; exit 1'\n  no_log: true",
        unchanged,
    ),
    ("no playbook", PING, |i| {
        i.playbook = Playbook::Embedded("no-such.yml".to_owned());
    }),
    ("no host", PING, |i| i.host.port = 1),
    ("wrong key", PING, |i| i.host.key = None),
    ("wrong host key", PING, |i| {
        let other =
            "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIFHwM4oTqBtBl1bxeZFKdqkgFTcVOpVzRnZFmHNPYPdV";
        i.host.host_key = Some(other.to_owned());
    }),
    ("first contact", PING, |i| i.host.host_key = None),
    ("hostile", PING, |i| i.host.user = "-l".to_owned()),
    (
        "deadline",
        "- name: Wait\n  ansible.builtin.command: sleep 60",
        |i| {
            i.timeout = Duration::from_secs(8);
        },
    ),
];

/// All that a caller sees, without what is never twice the same.
fn seen(engine: AnsibleEngine, node: &Node, (_, tasks, change): &Case) -> String {
    let bench = Bench::new(engine);
    let mut invocation = bench.invocation(node, tasks);
    let site = json!({"title": "Bäckerei {{ 'x' }}"});
    invocation.vars.insert("site".to_owned(), site);
    change(&mut invocation);
    node.shell("rm -f /tmp/same");
    let mut shown = bench.run(&invocation);
    for event in &mut shown.events {
        if let Event::Task(result) = event {
            result.seconds = 0.0;
        }
    }
    // How far Ansible has come when the node refuses the connection is a matter of time.
    if shown.outcome.end == Some(ProcessEnd::Cancelled) {
        shown.events.retain(|event| matches!(event, Event::Task(_)));
    }
    let log = shown
        .outcome
        .log
        .take()
        // What Ansible writes when it is stopped is a matter of time too.
        .filter(|_| shown.outcome.end != Some(ProcessEnd::Cancelled))
        .map(|path| fs::read_to_string(path).expect("text"));
    shown.outcome.duration = Duration::ZERO;
    let text = format!(
        "{:#?}\n{:#?}\n{}",
        shown.events,
        shown.outcome,
        log.unwrap_or_default()
    );
    let text = text.replace(&bench.state.path().display().to_string(), "STATE");
    without_names_and_times(&text)
}

/// Files that Ansible made for a moment have other names each time, and commands other times.
fn without_names_and_times(text: &str) -> String {
    let is_time = |line: &&str| {
        let key = line.trim_start();
        ["\"start\": ", "\"end\": ", "\"delta\": "]
            .iter()
            .any(|name| key.starts_with(name))
    };
    let text: Vec<&str> = text.lines().filter(|line| !is_time(line)).collect();
    let text = text.join("\n");
    let mut parts = text.split("/tmp/ansible-");
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |all, part| {
        let is_name = |c: char| c.is_ascii_alphanumeric() || "_/.-".contains(c);
        all + "/tmp/NAME" + part.trim_start_matches(is_name)
    })
}

#[test]
fn both_say_the_same_whatever_happens() {
    let node = crate::node_or_skip!(node(1));
    for case in CASES {
        let warm = seen(AnsibleEngine::Warm, &node, case);
        let plain = seen(AnsibleEngine::Plain, &node, case);
        assert!(warm == plain, "{}\nwarm: {warm}\nplain: {plain}", case.0);
    }
}

#[test]
fn many_jobs_share_one_server_that_ends_with_the_engine() {
    let node = crate::node_or_skip!(node(1));
    let bench = Bench::new(AnsibleEngine::Warm);
    let mut invocation = bench.invocation(&node, PING);
    assert_eq!(bench.server(), None, "started without a job");
    assert_eq!(bench.run(&invocation).code(), None);
    let server = bench.server().expect("it stays");
    invocation.attempt = 2;
    invocation.vars.insert("other".to_owned(), json!({}));
    assert_eq!(bench.run(&invocation).code(), None);
    assert_eq!(bench.server(), Some(server));
    let Bench { state, engine, .. } = bench;
    drop(engine);
    assert!(!Path::new(&format!("/proc/{server}")).exists());
    assert_eq!(
        fs::read_dir(state.path().join("warm"))
            .expect("there")
            .count(),
        0
    );
}

#[test]
fn a_job_outlives_the_server_and_the_next_one_gets_another() {
    let node = crate::node_or_skip!(node(1));
    let bench = Bench::new(AnsibleEngine::Warm);
    let mut invocation = bench.invocation(
        &node,
        "- ansible.builtin.command: sleep 1\n- ansible.builtin.ping:",
    );
    let mut killed = None;
    let shown = bench.run_with(&invocation, &Cancel::default(), &mut |event| {
        if matches!(event, Event::TaskStart { .. }) && killed.is_none() {
            killed = bench.server();
            kill(Pid::from_raw(killed.expect("a server")), Signal::SIGKILL).expect("it lives");
        }
    });
    assert_eq!(shown.outcome.failure, None);
    assert_eq!(shown.tasks().len(), 2);
    invocation.attempt = 2;
    assert_eq!(bench.run(&invocation).outcome.failure, None);
    let next = bench.server();
    assert!(next.is_some() && next != killed, "{killed:?} {next:?}");
}

#[test]
fn a_server_that_hangs_gets_the_job_done_without_it_and_once() {
    let node = crate::node_or_skip!(node(1));
    let bench = Bench::new(AnsibleEngine::Warm);
    node.shell("rm -f /tmp/runs");
    let mut invocation = bench.invocation(&node, "- ansible.builtin.shell: echo run >>/tmp/runs");
    let runs = || node.shell("cat /tmp/runs").lines().count();
    assert_eq!(bench.run(&invocation).outcome.failure, None);
    let server = Pid::from_raw(bench.server().expect("a server"));
    kill(server, Signal::SIGSTOP).expect("it lives");
    invocation.attempt = 2;
    let shown = bench.run(&invocation);
    assert_eq!(shown.outcome.failure, None);
    assert!(matches!(
        shown.events.first(),
        Some(Event::PlayStart { .. })
    ));
    assert_eq!(runs(), 2);
    assert_eq!(bench.server(), None, "it was given up");
    // The next one does not wait for it again.
    invocation.attempt = 3;
    let shown = bench.run(&invocation);
    assert_eq!(shown.outcome.failure, None);
    assert!(shown.outcome.duration < Duration::from_secs(15));
    assert_eq!(runs(), 3);
}

#[test]
fn an_ansible_that_cannot_be_loaded_runs_by_itself_and_once() {
    let node = crate::node_or_skip!(node(1));
    let bench = Bench::new(AnsibleEngine::Warm);
    let content = fs::read_dir(bench.state.path().join("ansible")).expect("unpacked");
    let content = content.flatten().next().expect("one version").path();
    let server = content.join("engine/preload.py");
    fs::remove_file(&server).expect("it is there");
    fs::write(&server, "raise ImportError('no such library')\n").expect("written");
    let invocation = bench.invocation(&node, PING);
    let mut starts = 0;
    let mut events = Vec::new();
    let outcome = bench.engine.run(
        &invocation,
        &str::to_owned,
        &mut |_| starts += 1,
        &mut |event| events.push(event),
        &Cancel::default(),
    );
    assert_eq!((outcome.failure, starts), (None, 1));
    assert!(matches!(events.first(), Some(Event::PlayStart { .. })));
    assert!(matches!(events.last(), Some(Event::Stats { .. })));
    assert_eq!(events.len(), 4, "{events:?}");
}

#[test]
fn a_job_that_was_stopped_before_it_began_never_begins() {
    let node = crate::node_or_skip!(node(1));
    let bench = Bench::new(AnsibleEngine::Warm);
    node.shell("rm -f /tmp/begun");
    let invocation = bench.invocation(&node, "- ansible.builtin.command: touch /tmp/begun");
    // As when the process cannot be recorded.
    let cancel = Cancel::default();
    let stop = cancel.clone();
    let outcome = bench.engine.run(
        &invocation,
        &str::to_owned,
        &mut |_| stop.cancel(),
        &mut |_| {},
        &cancel,
    );
    assert_eq!(
        outcome.failure.expect("it was stopped").code,
        ErrorCode::JobInterrupted
    );
    thread::sleep(Duration::from_millis(500));
    assert_eq!(
        node.shell("ls /tmp/begun 2>/dev/null || echo none").trim(),
        "none"
    );
    let gone = || {
        crate::support::processes_with(&bench.state.path().display().to_string())
            .iter()
            .all(|line| {
                line.contains("engine/server.py")
                    || line.contains("ssh ")
                    || line.contains("ssh-agent")
            })
    };
    assert!(within(Duration::from_secs(5), gone));
}
