//! What works.

use crate::in_both_engines;
use crate::support::{Bench, node, processes_with};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use pressluft::ansible::Cancel;
use pressluft::core::document::fleet::AnsibleEngine;
use pressluft::core::event::{Event, TaskStatus};
use pressluft::core::job::ErrorCode;
use serde_json::json;

fn a_play_runs_and_says_what_it_did(engine: AnsibleEngine) {
    let node = crate::node_or_skip!(node(1));
    node.shell("rm -f /tmp/title");
    let bench = Bench::new(engine);
    let mut invocation = bench.invocation(
        &node,
        "- name: Say hello\n  ansible.builtin.command: echo hello\n  changed_when: true\n\
         - name: Write\n  ansible.builtin.copy: {content: \"{{ pressluft.site.title }}\\n\", dest: /tmp/title, mode: '0644'}",
    );
    invocation
        .vars
        .insert("site".to_owned(), json!({"title": "Bäckerei {{ 'x' }}"}));
    invocation.diff = true;
    let shown = bench.run(&invocation);
    assert_eq!(shown.outcome.failure, None);
    let statuses: Vec<_> = shown.tasks().iter().map(|task| task.status).collect();
    assert_eq!(statuses, [TaskStatus::Changed, TaskStatus::Changed]);
    assert_eq!(node.shell("cat /tmp/title"), "Bäckerei {{ 'x' }}");
    assert_eq!(shown.outcome.stats.expect("statistics").changed, 2);
    assert_eq!(shown.outcome.enrolled_host_key, None);
    assert!(matches!(
        shown.events.first(),
        Some(Event::PlayStart { .. })
    ));
    assert!(matches!(shown.events.last(), Some(Event::Stats { .. })));

    invocation.attempt = 2;
    invocation.check = true;
    invocation
        .vars
        .insert("site".to_owned(), json!({"title": "new"}));
    let shown = bench.run(&invocation);
    assert_eq!(shown.outcome.failure, None);
    let write = shown.tasks()[1];
    assert_eq!(write.diff[0].after.as_deref(), Some("new\n"));
    assert_eq!(
        node.shell("cat /tmp/title"),
        "Bäckerei {{ 'x' }}",
        "check mode changed the node"
    );
}

fn first_contact_records_the_key_and_the_connection_stays_warm(engine: AnsibleEngine) {
    let node = crate::node_or_skip!(node(1));
    let bench = Bench::new(engine);
    let mut invocation = bench.invocation(&node, "- ansible.builtin.ping:");
    invocation.host.host_key = None;
    let shown = bench.run(&invocation);
    assert_eq!(shown.outcome.failure, None);
    let enrolled = shown.outcome.enrolled_host_key.expect("a key");
    assert!(node.host_key.starts_with(&enrolled), "{enrolled}");
    let masters = || processes_with(&format!("{}/ssh/mux-", bench.state.path().display()));
    let before = masters();
    assert!(
        before.iter().any(|line| line.contains("ControlMaster=yes")),
        "{before:?}"
    );

    invocation.attempt = 2;
    invocation.host.host_key = Some(enrolled);
    let shown = bench.run(&invocation);
    assert_eq!(shown.code(), None);
    assert_eq!(shown.outcome.enrolled_host_key, None);
    assert_eq!(
        masters(),
        before,
        "the second job made a connection of its own"
    );
    drop(bench.engine);
    let left = processes_with(&bench.state.path().display().to_string());
    assert!(left.is_empty(), "{left:?}");
}

fn a_template_in_any_value_or_key_runs_nowhere_and_arrives_as_it_is(engine: AnsibleEngine) {
    let node = crate::node_or_skip!(node(1));
    let bench = Bench::new(engine);
    let marker = bench.state.path().join("pwned");
    let bomb = format!("{{{{ lookup('pipe', 'touch {}') }}}}", marker.display());
    let statement = format!(
        "{{% set x = lookup('pipe', 'touch {}') %}}",
        marker.display()
    );
    let mut invocation = bench.invocation(
        &node,
        "- name: Use everything\n\
         \x20 ansible.builtin.copy:\n\
         \x20   content: \"{{ pressluft | to_json }} {{ pressluft_secrets.named | to_json }}\"\n\
         \x20   dest: /tmp/arrived\n\
         \x20   mode: '0600'\n\
         - name: Loop and nest\n\
         \x20 ansible.builtin.command: \"printf %s {{ item | quote }}\"\n\
         \x20 loop: \"{{ pressluft.site.list | flatten }}\"\n\
         - name: Decide by it\n\
         \x20 ansible.builtin.debug: {var: pressluft.site.title}\n\
         \x20 when: pressluft.site.title != ''\n\
         - name: As a name {{ pressluft.site.title }}\n\
         \x20 ansible.builtin.set_fact: {again: \"{{ pressluft.site }}\"}\n\
         - name: Use it again\n\
         \x20 ansible.builtin.debug: {msg: \"{{ again }} {{ again.keys() | list }}\"}",
    );
    let site = json!({
        "title": bomb,
        "list": [bomb, [statement, {"deep": bomb}]],
        bomb.clone(): "key",
        "constants": {statement.clone(): {"inner": [bomb]}},
    });
    invocation.vars.insert("site".to_owned(), site.clone());
    invocation
        .secrets
        .insert("named".to_owned(), json!({"a": bomb, statement: "b"}));
    invocation.tree = Some(b"{\"version\":1}".to_vec());
    let shown = bench.run(&invocation);
    assert_eq!(shown.outcome.failure, None);
    assert!(!marker.exists(), "a value was run as a template");
    let arrived = node.shell("cat /tmp/arrived");
    assert!(arrived.contains(&json!(bomb).to_string()), "{arrived}");
    let read: serde_json::Value = serde_json::Deserializer::from_str(&arrived)
        .into_iter()
        .next()
        .expect("one")
        .expect("JSON");
    assert_eq!(read["site"], site);
    let tree = read["paths"]["tree"]
        .as_str()
        .expect("the engine fills it in");
    assert!(tree.ends_with("/run/0199-test-1/play/tree.json"), "{tree}");
}

fn no_secret_reaches_arguments_events_or_logs(engine: AnsibleEngine) {
    let node = crate::node_or_skip!(node(1));
    let bench = Bench::new(engine);
    let mut invocation = bench.invocation(
        &node,
        "- name: Leak\n  ansible.builtin.command: \"echo {{ pressluft_secrets.db_password }}\"\n\
         - name: Leak more\n  ansible.builtin.fail: {msg: \"it is {{ pressluft_secrets.db_password }}\"}",
    );
    invocation
        .secrets
        .insert("db_password".to_owned(), json!("hunter2"));
    invocation.verbosity = 3;
    let state = bench.state.path().display().to_string();
    let mut seen = Vec::new();
    let shown = bench.run_with(&invocation, &Default::default(), &mut |_| {
        seen.extend(processes_with(&state));
    });
    let failure = shown.outcome.failure.as_ref().expect("it failed");
    assert!(failure.message.contains("it is (sensitive)"), "{failure:?}");
    assert!(!seen.is_empty());
    let log = std::fs::read_to_string(shown.outcome.log.as_ref().expect("a log")).expect("text");
    assert!(log.contains("(sensitive)"), "{log}");
    let all = format!("{:?} {:?} {log} {seen:?}", shown.events, shown.outcome);
    assert!(!all.contains("hunter2"), "{all}");
}

fn a_node_that_prints_without_end_costs_little(engine: AnsibleEngine) {
    let node = crate::node_or_skip!(node(1));
    let bench = Bench::new(engine);
    let invocation = bench.invocation(
        &node,
        "- name: Flood\n  ansible.builtin.shell: head -c 20000000 /dev/zero | tr '\\0' 'x'; printf '\\033[2J\\n'",
    );
    let shown = bench.run(&invocation);
    assert_eq!(shown.outcome.failure, None);
    let log = shown.outcome.log.expect("a log");
    assert!(std::fs::metadata(&log).expect("there").len() < 2 << 20);
    assert!(
        !std::fs::read_to_string(&log)
            .expect("text")
            .contains('\u{1b}')
    );
    assert!(format!("{:?}", shown.events).len() < 256 * 1024);
}

/// Ansible keeps what a command prints; 32 MiB of it, some times over.
fn a_node_that_prints_a_gigabyte_costs_no_memory(engine: AnsibleEngine) {
    let node = crate::node_or_skip!(node(1));
    let bench = Bench::new(engine);
    let tasks = "- name: Flood\n  ansible.builtin.raw: head -c 1000000000 /dev/zero | tr '\\0' x";
    let invocation = bench.invocation(&node, tasks);
    let state = bench.state.path().display().to_string();
    let is_over = AtomicBool::new(false);
    let (shown, peak) = std::thread::scope(|scope| {
        let watcher = scope.spawn(|| {
            let mut peak = 0;
            while !is_over.load(Ordering::SeqCst) {
                peak = peak.max(memory_of(&state));
                std::thread::sleep(Duration::from_millis(20));
            }
            peak
        });
        let shown = bench.run(&invocation);
        is_over.store(true, Ordering::SeqCst);
        (shown, watcher.join().expect("no panic"))
    });
    let failure = shown.outcome.failure.as_ref().expect("it was ended");
    assert_eq!(failure.code, ErrorCode::AnsibleHostFailed, "{failure:?}");
    assert!(failure.message.contains("more than 32 MiB"), "{failure:?}");
    assert!(format!("{:?}", shown.events).len() < 64 * 1024);
    assert!(peak > 0 && peak < 500 << 20, "{} MiB", peak >> 20);
}

/// The bytes of memory that the largest of the processes with `text` in their command line
/// has had.
fn memory_of(text: &str) -> u64 {
    let peak = |line: &String| {
        let pid = line.split(' ').next()?;
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
        let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
        line.split_whitespace().nth(1)?.parse::<u64>().ok()
    };
    processes_with(text)
        .iter()
        .filter_map(peak)
        .max()
        .unwrap_or_default()
        * 1024
}

fn many_threads_share_one_engine(engine: AnsibleEngine) {
    let node = crate::node_or_skip!(node(1));
    let bench = Bench::new(engine);
    let invocation = bench.invocation(&node, "- ansible.builtin.ping:");
    std::thread::scope(|scope| {
        for number in 0..4 {
            let (engine, mut invocation) = (&bench.engine, invocation.clone());
            invocation.job = format!("0199-{number}");
            scope.spawn(move || {
                let outcome = engine.run(
                    &invocation,
                    &str::to_owned,
                    &mut |_| {},
                    &mut |_| {},
                    &Cancel::default(),
                );
                assert_eq!(outcome.failure, None);
            });
        }
    });
    let run = bench.state.path().join("run");
    assert_eq!(std::fs::read_dir(run).expect("there").count(), 0);
}

fn another_port_has_a_pin_of_its_own(engine: AnsibleEngine) {
    let node = crate::node_or_skip!(node(1));
    node.shell("test -e /run/other-sshd || { /usr/sbin/sshd -p 2222 && touch /run/other-sshd; }");
    let bench = Bench::new(engine);
    let mut invocation = bench.invocation(&node, "- ansible.builtin.ping:");
    invocation.host.port = 2222;
    for host_key in [None, Some(node.host_key)] {
        invocation.attempt += 1;
        invocation.host.host_key = host_key;
        assert_eq!(bench.run(&invocation).outcome.failure, None);
    }
}

in_both_engines! {
    a_play_runs_and_says_what_it_did,
    first_contact_records_the_key_and_the_connection_stays_warm,
    a_template_in_any_value_or_key_runs_nowhere_and_arrives_as_it_is,
    no_secret_reaches_arguments_events_or_logs,
    a_node_that_prints_without_end_costs_little,
    a_node_that_prints_a_gigabyte_costs_no_memory,
    many_threads_share_one_engine,
    another_port_has_a_pin_of_its_own,
}
