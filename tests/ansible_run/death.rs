//! Nothing of a job outlives it: deadlines, cancellation, and `kill -9` of Pressluft itself.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use crate::in_both_engines;
use crate::support::{Bench, node, processes_with, settings, within};
use pressluft::ansible::{Cancel, Engine};
use pressluft::core::document::fleet::AnsibleEngine;
use pressluft::core::event::Event;
use pressluft::core::job::ErrorCode;
use pressluft::core::outcome::ProcessEnd;

/// How long a play may take to begin while others do on the same node.
const PATIENCE: Duration = Duration::from_secs(60);

/// A task on the node that lasts, after one that has ended.
const LONG: &str = "- ansible.builtin.ping:\n- name: Wait\n  ansible.builtin.command: sleep 60";

/// A task whose process ignores SIGTERM and hides in a session of its own.
const STUBBORN: &str = "- ansible.builtin.ping:\n- name: Stubborn\n  stubborn:";

fn left_of(state: &Path) -> Vec<String> {
    processes_with(&state.display().to_string())
}

/// Whether the process of [`STUBBORN`] is there.
fn is_stubborn(state: &Path) -> bool {
    let attempts = std::fs::read_dir(state.join("run")).into_iter().flatten();
    let mut marks = attempts
        .flatten()
        .map(|attempt| attempt.path().join("play/tmp/stubborn"));
    marks.any(|mark| mark.exists())
}

/// Whether a command of [`LONG`] is on its way to the node.
fn is_waiting(state: &Path) -> bool {
    left_of(state)
        .iter()
        .any(|line| line.contains("ControlMaster=no"))
}

/// A play that does something, and how to see that it does.
type Case = (&'static str, fn(&Path) -> bool);

const CASES: [Case; 2] = [(LONG, is_waiting), (STUBBORN, is_stubborn)];

fn a_job_that_outlasts_its_deadline_is_stopped_and_its_events_kept(engine: AnsibleEngine) {
    let node = crate::node_or_skip!(node(1));
    let bench = Bench::new(engine);
    let mut invocation = bench.invocation(&node, LONG);
    invocation.timeout = Duration::from_secs(35);
    let shown = bench.run(&invocation);
    assert_eq!(
        (shown.code(), shown.outcome.end),
        (Some(ErrorCode::JobTimeout), Some(ProcessEnd::TimedOut))
    );
    assert_eq!(shown.tasks().len(), 1, "{:?}", shown.events);
    let message = shown.outcome.failure.expect("a failure").message;
    assert!(message.contains("`Wait`"), "{message}");
    assert!(
        shown.outcome.duration < Duration::from_secs(41),
        "{:?}",
        shown.outcome.duration
    );
    drop(bench.engine);
    assert_eq!(left_of(bench.state.path()), Vec::<String>::new());
}

fn a_child_that_ignores_the_request_is_killed(engine: AnsibleEngine) {
    let node = crate::node_or_skip!(node(1));
    let bench = Bench::new(engine);
    let state = bench.state.path().to_owned();
    let invocation = bench.invocation(&node, STUBBORN);
    let cancel = Cancel::default();
    let stop = cancel.clone();
    let watcher = thread::spawn(move || {
        assert!(
            within(PATIENCE, || is_stubborn(&state)),
            "the child never ran"
        );
        stop.cancel();
        Instant::now()
    });
    let shown = bench.run_with(&invocation, &cancel, &mut |_| {});
    let asked = watcher.join().expect("the child ran");
    assert_eq!(
        shown.code(),
        Some(ErrorCode::JobInterrupted),
        "{:?}",
        shown.outcome
    );
    assert!(
        asked.elapsed() < Duration::from_secs(20),
        "{:?}",
        asked.elapsed()
    );
    drop(bench.engine);
    assert_eq!(left_of(bench.state.path()), Vec::<String>::new());
}

fn nothing_outlives_a_killed_pressluft(engine: AnsibleEngine) {
    let node = crate::node_or_skip!(node(1));
    drop(node);
    for (tasks, is_running) in CASES {
        let state = tempfile::tempdir().expect("a directory");
        let mut pressluft = this_program(state.path(), tasks, engine);
        let runs = || is_running(state.path());
        assert!(within(PATIENCE, runs), "{:?}", left_of(state.path()));
        pressluft.kill().expect("it lives");
        pressluft.wait().expect("it ended");
        let gone = || left_of(state.path()).is_empty();
        // The grace period of these tests is two seconds.
        assert!(
            within(Duration::from_secs(8), gone),
            "{:#?}",
            left_of(state.path())
        );
        assert_eq!(
            std::fs::read_dir(state.path().join("run"))
                .expect("there")
                .count(),
            1
        );
        let swept = Engine::locate(settings(state.path())).expect("an engine");
        assert_eq!(
            std::fs::read_dir(state.path().join("run"))
                .expect("there")
                .count(),
            0
        );
        drop(swept);
    }
}

fn nothing_outlives_a_killed_supervisor(engine: AnsibleEngine) {
    let node = crate::node_or_skip!(node(1));
    for (tasks, is_running) in CASES {
        let bench = Bench::new(engine);
        let state = bench.state.path().to_owned();
        let invocation = bench.invocation(&node, tasks);
        let killer = thread::spawn(move || {
            let supervisor = || {
                let lines = left_of(&state);
                let line = lines.iter().find(|line| {
                    line.contains("pressluft supervise") && line.contains("ansible-playbook")
                })?;
                line.split(' ').next()?.parse::<i32>().ok()
            };
            // Once the task runs, which takes a little longer than the supervisor's start.
            assert!(
                within(PATIENCE, || is_running(&state)),
                "the play never ran"
            );
            let pid = nix::unistd::Pid::from_raw(supervisor().expect("a supervisor"));
            nix::sys::signal::kill(pid, nix::sys::signal::SIGKILL).expect("it lives");
        });
        let shown = bench.run(&invocation);
        killer.join().expect("it was killed");
        assert_eq!(
            shown.code(),
            Some(ErrorCode::JobInterrupted),
            "{:?}",
            shown.outcome
        );
        drop(bench.engine);
        let gone = || left_of(bench.state.path()).is_empty();
        assert!(
            within(Duration::from_secs(8), gone),
            "{:#?}",
            left_of(bench.state.path())
        );
    }
}

fn signals_that_a_shell_handed_down_as_ignored_are_heard(engine: AnsibleEngine) {
    let node = crate::node_or_skip!(node(1));
    node.shell("rm -f /tmp/ignored");
    let state = tempfile::tempdir().expect("a directory");
    let mut command = command_of_this_program(state.path(), "- ignored:", engine);
    assert!(command.status().expect("started").success());
    assert_eq!(node.shell("cat /tmp/ignored").trim(), "ignored []");
}

/// Starts this test program again as a Pressluft that runs one job until it is killed.
fn this_program(state: &Path, tasks: &str, engine: AnsibleEngine) -> std::process::Child {
    command_of_this_program(state, tasks, engine)
        .spawn()
        .expect("started")
}

/// As a shell that is about to put it into the background would start it.
#[expect(clippy::disallowed_methods, reason = "a test starts itself")]
fn command_of_this_program(state: &Path, tasks: &str, engine: AnsibleEngine) -> Command {
    let mut command = Command::new("sh");
    command
        .args(["-c", "trap '' HUP INT QUIT TERM; exec \"$@\"", "sh"])
        .arg(std::env::current_exe().expect("a path"))
        .args([
            "--exact",
            "death::one_job_for_the_other_tests",
            "--ignored",
            "--nocapture",
        ])
        .env("STATE", state)
        .env("ENGINE", engine.as_str())
        .env("TASKS", tasks)
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    command
}

#[test]
#[ignore = "runs as a program of its own, started by another test"]
#[expect(
    clippy::disallowed_methods,
    reason = "how its caller tells it what to do"
)]
fn one_job_for_the_other_tests() {
    let Some(state) = std::env::var_os("STATE") else {
        return;
    };
    let node = node(1).expect("the caller has one");
    let engine = match std::env::var("ENGINE").as_deref() {
        Ok("plain") => AnsibleEngine::Plain,
        _ => AnsibleEngine::Warm,
    };
    let bench = Bench::new(engine);
    let tasks = std::env::var("TASKS").expect("tasks");
    let invocation = bench.invocation(&node, &tasks);
    let engine = Engine::locate(settings(&PathBuf::from(state))).expect("an engine");
    let mut ignore = |_: Event| {};
    engine.run(
        &invocation,
        &str::to_owned,
        &mut |_| {},
        &mut ignore,
        &Cancel::default(),
    );
}

in_both_engines! {
    a_job_that_outlasts_its_deadline_is_stopped_and_its_events_kept,
    a_child_that_ignores_the_request_is_killed,
    nothing_outlives_a_killed_pressluft,
    nothing_outlives_a_killed_supervisor,
    signals_that_a_shell_handed_down_as_ignored_are_heard,
}
