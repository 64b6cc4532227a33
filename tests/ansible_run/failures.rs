//! Every way to fail has its own code.

use std::time::{Duration, Instant};

use crate::in_both_engines;
use crate::support::{Bench, Node, node, node_without_python, processes_with, within};
use pressluft::ansible::Invocation;
use pressluft::core::document::fleet::AnsibleEngine;
use pressluft::core::event::Event;
use pressluft::core::job::ErrorCode;

fn other_key() -> (String, String) {
    let dir = tempfile::tempdir().expect("a directory");
    let public = pressluft::ansible::public_key(dir.path()).expect("a key");
    let private = std::fs::read_to_string(dir.path().join("ssh/id_ed25519")).expect("a key");
    (private, public)
}

fn expect(
    engine: AnsibleEngine,
    change: impl FnOnce(&mut Invocation),
    tasks: &str,
    node: &Node,
    code: ErrorCode,
) -> String {
    let bench = Bench::new(engine);
    let mut invocation = bench.invocation(node, tasks);
    change(&mut invocation);
    let shown = bench.run(&invocation);
    let failure = shown.outcome.failure.expect("a failure");
    assert_eq!(failure.code, code, "{failure:?} {:?}", shown.outcome.end);
    failure.message
}

const PING: &str = "- ansible.builtin.ping:";

fn ssh_failures_are_told_apart(engine: AnsibleEngine) {
    let node = crate::node_or_skip!(node(1));
    let (private, public) = other_key();
    let begin = Instant::now();
    expect(
        engine,
        |i| i.host.key = Some(private.clone()),
        PING,
        &node,
        ErrorCode::SshAuthFailed,
    );
    expect(
        engine,
        |i| i.host.key = None,
        PING,
        &node,
        ErrorCode::SshAuthFailed,
    );
    expect(
        engine,
        |i| i.host.key = Some("no key".to_owned()),
        PING,
        &node,
        ErrorCode::SshAuthFailed,
    );
    let message = expect(
        engine,
        |i| i.host.host_key = Some(public),
        PING,
        &node,
        ErrorCode::SshHostKeyMismatch,
    );
    assert!(
        message.contains("showed the host key `SHA256:"),
        "{message}"
    );
    expect(
        engine,
        |i| i.host.port = 1,
        PING,
        &node,
        ErrorCode::AnsibleHostUnreachable,
    );
    assert!(
        begin.elapsed() < Duration::from_secs(20),
        "{:?}",
        begin.elapsed()
    );
}

fn ssh_failures_at_first_contact_are_told_apart(engine: AnsibleEngine) {
    let node = crate::node_or_skip!(node(1));
    let (private, _) = other_key();
    let first = |i: &mut Invocation| i.host.host_key = None;
    let wrong = |i: &mut Invocation| {
        first(i);
        i.host.key = Some(private);
    };
    expect(engine, wrong, PING, &node, ErrorCode::SshAuthFailed);
    let closed = |i: &mut Invocation| {
        first(i);
        i.host.port = 1;
    };
    expect(
        engine,
        closed,
        PING,
        &node,
        ErrorCode::AnsibleHostUnreachable,
    );
}

fn an_address_that_nobody_has_is_unreachable(engine: AnsibleEngine) {
    let node = crate::node_or_skip!(node(1));
    let (network, _) = node.address.rsplit_once('.').expect("IPv4");
    let address = format!("{network}.253");
    let begin = Instant::now();
    expect(
        engine,
        |i| i.host.address = address,
        PING,
        &node,
        ErrorCode::AnsibleHostUnreachable,
    );
    assert!(
        begin.elapsed() < Duration::from_secs(20),
        "{:?}",
        begin.elapsed()
    );
}

fn a_host_key_of_another_type_is_a_mismatch(engine: AnsibleEngine) {
    let node = crate::node_or_skip!(node(1));
    let make = "rm -f /tmp/k /tmp/k.pub; ssh-keygen -q -t ecdsa -N '' -f /tmp/k; cat /tmp/k.pub";
    let other = node.shell(make);
    expect(
        engine,
        |i| i.host.host_key = Some(other),
        PING,
        &node,
        ErrorCode::SshHostKeyMismatch,
    );
}

fn a_link_that_breaks_in_the_middle_is_unreachable(engine: AnsibleEngine) {
    let node = crate::node_or_skip!(node(3));
    let bench = Bench::new(engine);
    let tasks = "- ansible.builtin.ping:\n- name: Wait\n  ansible.builtin.command: sleep 100";
    let mut invocation = bench.invocation(&node, tasks);
    invocation.timeout = Duration::from_secs(90);
    let shown = bench.run_with(&invocation, &Default::default(), &mut |event| {
        if matches!(event, Event::TaskStart { task, .. } if task == "Wait") {
            // The task must be on the node before the link goes.
            let runs = || !processes_with("sleep 100").is_empty();
            assert!(within(Duration::from_secs(20), runs), "the task never ran");
            node.link(false);
        }
    });
    node.link(true);
    assert_eq!(
        shown.code(),
        Some(ErrorCode::AnsibleHostUnreachable),
        "{:?}",
        shown.outcome
    );
    assert!(
        shown.outcome.duration < Duration::from_secs(60),
        "{:?}",
        shown.outcome.duration
    );
    invocation.attempt = 2;
    let play = std::fs::read_to_string(bench.state.path().join("play.yml")).expect("a play");
    std::fs::write(
        bench.state.path().join("play.yml"),
        play.replace("sleep 100", "sleep 0"),
    )
    .expect("written");
    assert_eq!(bench.run(&invocation).code(), None, "it does not recover");
}

/// Whoever answers may greet for ever, and what `ssh` says of it is in a file.
fn a_host_that_greets_at_length_fills_no_disk(engine: AnsibleEngine) {
    let node = crate::node_or_skip!(node(1));
    // No other test looks at this port: they run beside this one.
    let greeted = |i: &mut Invocation| i.host.port = 2223;
    let greet = |bytes: u32| {
        // It reads the file for each connection.
        node.shell(&format!("head -c {bytes} /dev/zero | base64 >/root/banner"));
    };
    greet(40);
    node.shell("/usr/sbin/sshd -p 2223 -o Banner=/root/banner || true");
    let bench = Bench::new(engine);
    let mut invocation = bench.invocation(&node, PING);
    greeted(&mut invocation);
    assert_eq!(bench.run(&invocation).code(), None, "a short greeting");
    // A packet of the protocol has 256 KiB at most.
    greet(150_000);
    let code = ErrorCode::AnsibleHostUnreachable;
    let message = expect(engine, greeted, PING, &node, code);
    assert!(message.contains("more than 64 KiB"), "{message}");
}

fn a_node_without_python_says_so(engine: AnsibleEngine) {
    let node = crate::node_or_skip!(node_without_python(2));
    let message = expect(engine, |_| {}, PING, &node, ErrorCode::NodePythonMissing);
    assert!(message.contains("python3"), "{message}");
}

fn failures_of_the_playbook_are_told_apart(engine: AnsibleEngine) {
    let node = crate::node_or_skip!(node(1));
    use ErrorCode as C;
    let table = [
        (
            "- ansible.builtin.command: /bin/false",
            C::AnsibleHostFailed,
        ),
        (
            "- ansible.builtin.debug: {msg: '{{ not_there }}'}",
            C::AnsibleHostFailed,
        ),
        ("- no_such.module.at_all:", C::AnsibleSyntaxError),
        (
            "- ansible.builtin.ping:\n  no_such_keyword: 1",
            C::AnsibleSyntaxError,
        ),
        ("- {broken", C::AnsibleSyntaxError),
        (
            "- ansible.builtin.assert: {that: 1 == 2, fail_msg: 'NODE_UNSUPPORTED: too old'}",
            C::NodeUnsupported,
        ),
        (
            "- ansible.builtin.command: sleep 20\n  timeout: 1",
            C::AnsibleTimeout,
        ),
        (
            "- ansible.builtin.command: sh -c 'echo NODE_UNSUPPORTED:' ; exit 1\n  failed_when: true",
            C::AnsibleHostFailed,
        ),
        (
            "- ansible.builtin.command: /bin/nothing-of-this-name",
            C::AnsibleHostFailed,
        ),
    ];
    for (tasks, code) in table {
        expect(engine, |_| {}, tasks, &node, code);
    }
}

fn what_the_playbook_forgives_is_no_failure(engine: AnsibleEngine) {
    let node = crate::node_or_skip!(node(1));
    let bench = Bench::new(engine);
    let tasks = "- ansible.builtin.command: /bin/false\n  ignore_errors: true\n\
                 - block:\n    - ansible.builtin.command: /bin/false\n  rescue:\n    - ansible.builtin.ping:";
    let shown = bench.run(&bench.invocation(&node, tasks));
    assert_eq!(shown.outcome.failure, None);
}

fn a_missing_playbook_or_a_hostile_value_starts_nothing(engine: AnsibleEngine) {
    let node = crate::node_or_skip!(node(1));
    let missing = |i: &mut Invocation| {
        i.playbook = pressluft::ansible::Playbook::Embedded("no-such.yml".to_owned());
    };
    expect(
        engine,
        missing,
        PING,
        &node,
        ErrorCode::AnsibleUnexpectedError,
    );
    for address in ["-oProxyCommand=touch /tmp/x", "a b", "", "a\nb", "$(id)"] {
        let change = |i: &mut Invocation| i.host.address = address.to_owned();
        expect(engine, change, PING, &node, ErrorCode::RenderFailed);
    }
    for user in ["-l", "a b", "root;id"] {
        let change = |i: &mut Invocation| i.host.user = user.to_owned();
        expect(engine, change, PING, &node, ErrorCode::RenderFailed);
    }
}

in_both_engines! {
    ssh_failures_are_told_apart,
    ssh_failures_at_first_contact_are_told_apart,
    an_address_that_nobody_has_is_unreachable,
    a_host_key_of_another_type_is_a_mismatch,
    a_link_that_breaks_in_the_middle_is_unreachable,
    a_host_that_greets_at_length_fills_no_disk,
    a_node_without_python_says_so,
    failures_of_the_playbook_are_told_apart,
    what_the_playbook_forgives_is_no_failure,
    a_missing_playbook_or_a_hostile_value_starts_nothing,
}
