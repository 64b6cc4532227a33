use super::*;
use std::collections::BTreeMap;

fn stats(failures: u64, unreachable: u64) -> Event {
    let stats = HostStats {
        ok: 1,
        failures,
        unreachable,
        ..HostStats::default()
    };
    Event::Stats {
        hosts: BTreeMap::from([("web-1".to_owned(), stats)]),
    }
}

fn task(action: &str, status: TaskStatus, rc: Option<i64>, msg: &str) -> Event {
    Event::Task(Box::new(TaskResult {
        task: "a task".to_owned(),
        action: action.to_owned(),
        host: "web-1".to_owned(),
        status,
        seconds: 0.1,
        msg: Some(msg.to_owned()),
        diff: Vec::new(),
        rc,
        stdout: None,
        stderr: None,
        result: None,
    }))
}

fn play() -> Event {
    Event::PlayStart {
        play: "p".to_owned(),
        check: false,
    }
}

fn outcome(events: &[Event], end: ProcessEnd, output: &str) -> Result<(), ErrorCode> {
    let mut observed = Observed::default();
    events.iter().for_each(|event| observed.observe(event));
    classify(&observed, end, output).map_err(|failure| {
        assert!(!failure.message.is_empty() && failure.message.len() <= LONGEST_MESSAGE);
        failure.code
    })
}

#[test]
fn success_needs_the_final_statistics() {
    use ErrorCode as C;
    use TaskStatus as S;
    let rescued = task("command", S::Failed, Some(1), "boom");
    let table = [
        (vec![play(), stats(0, 0)], ProcessEnd::Exited(0), Ok(())),
        (
            vec![play(), rescued.clone(), stats(0, 0)],
            ProcessEnd::Exited(0),
            Ok(()),
        ),
        (vec![play(), stats(0, 0)], ProcessEnd::TimedOut, Ok(())),
        (
            vec![play(), stats(0, 0)],
            ProcessEnd::Exited(1),
            Err(C::AnsiblePlayError),
        ),
        (
            vec![play(), rescued.clone(), stats(0, 0)],
            ProcessEnd::Exited(9),
            Err(C::AnsibleUnknownExit),
        ),
        (
            vec![play()],
            ProcessEnd::Exited(0),
            Err(C::AnsibleUnexpectedError),
        ),
        (
            vec![],
            ProcessEnd::Exited(0),
            Err(C::AnsibleUnexpectedError),
        ),
        (
            vec![Event::Stats {
                hosts: BTreeMap::new(),
            }],
            ProcessEnd::Exited(0),
            Err(C::AnsiblePlayError),
        ),
        (
            vec![Event::Stats {
                hosts: BTreeMap::from(
                    ["web-1", "owned"].map(|name| (name.to_owned(), HostStats::default())),
                ),
            }],
            ProcessEnd::Exited(0),
            Err(C::AnsiblePlayError),
        ),
        (
            vec![play(), rescued.clone(), stats(1, 0)],
            ProcessEnd::Exited(2),
            Err(C::AnsibleHostFailed),
        ),
        (
            vec![play(), rescued.clone()],
            ProcessEnd::Exited(0),
            Err(C::AnsibleHostFailed),
        ),
        (
            vec![play(), rescued],
            ProcessEnd::TimedOut,
            Err(C::JobTimeout),
        ),
        (vec![play()], ProcessEnd::Cancelled, Err(C::JobInterrupted)),
    ];
    for (events, end, expected) in table {
        assert_eq!(outcome(&events, end, ""), expected, "{events:?} {end:?}");
    }
}

#[test]
fn the_exit_code_decides_only_without_events() {
    use ErrorCode as C;
    let table = [
        (vec![], 4, C::AnsibleSyntaxError),
        (vec![play()], 4, C::AnsibleSyntaxError),
        (vec![], 2, C::AnsibleUnexpectedError),
        (vec![play()], 2, C::AnsiblePlayError),
        (vec![], 1, C::AnsibleUnexpectedError),
        (vec![], 250, C::AnsibleUnexpectedError),
        (vec![], 5, C::AnsibleUnexpectedError),
        (vec![], 77, C::AnsibleUnknownExit),
        (vec![play()], 143, C::JobInterrupted),
        (vec![], 137, C::JobInterrupted),
    ];
    for (events, code, expected) in table {
        assert_eq!(
            outcome(&events, ProcessEnd::Exited(code), "x"),
            Err(expected),
            "{code}"
        );
    }
    assert_eq!(
        outcome(&[], ProcessEnd::Signalled(9), ""),
        Err(C::JobInterrupted)
    );
}

#[test]
fn a_failed_task_names_its_cause() {
    use ErrorCode as C;
    use TaskStatus as S;
    let table = [
        (
            "ping",
            S::Unreachable,
            None,
            "Host key verification failed.",
            C::SshHostKeyMismatch,
        ),
        (
            "ping",
            S::Unreachable,
            None,
            "no matching host key type found",
            C::SshHostKeyMismatch,
        ),
        (
            "ping",
            S::Unreachable,
            None,
            "root@h: Permission denied (publickey).",
            C::SshAuthFailed,
        ),
        (
            "ping",
            S::Unreachable,
            None,
            "Connection refused",
            C::AnsibleHostUnreachable,
        ),
        (
            "ping",
            S::Unreachable,
            None,
            "Connection timed out",
            C::AnsibleHostUnreachable,
        ),
        (
            "ping",
            S::Failed,
            Some(127),
            "The module interpreter '/usr/bin/python3' was not found.",
            C::NodePythonMissing,
        ),
        (
            "command",
            S::Failed,
            Some(127),
            "foo: not found",
            C::AnsibleHostFailed,
        ),
        (
            "ansible.builtin.raw",
            S::Failed,
            None,
            "NODE_ANSWER_REFUSED: says the node",
            C::AnsibleHostFailed,
        ),
        (
            "pressluft.host.tree",
            S::Failed,
            None,
            "NODE_FENCED: says a step",
            C::AnsibleHostFailed,
        ),
        (
            "ansible.builtin.assert",
            S::Failed,
            None,
            "NODE_UNSUPPORTED: debian 11 is too old",
            C::NodeUnsupported,
        ),
        (
            "ansible.builtin.command",
            S::Failed,
            Some(1),
            "SSH_AUTH_FAILED: says the node",
            C::AnsibleHostFailed,
        ),
        (
            "command",
            S::Failed,
            None,
            "Timed out after 5 seconds.",
            C::AnsibleTimeout,
        ),
    ];
    for (action, status, rc, msg, expected) in table {
        let events = [play(), task(action, status, rc, msg), stats(1, 0)];
        assert_eq!(
            outcome(&events, ProcessEnd::Exited(2), ""),
            Err(expected),
            "{msg}"
        );
    }
}

#[test]
fn a_program_of_ours_says_why_it_failed() {
    use ErrorCode as C;
    let table = [
        (
            "pressluft.host.converge",
            None,
            "Missing sudo password",
            C::NodeSudoFailed,
        ),
        (
            "pressluft.host.converge",
            Some("NO_ANSWER"),
            "the node's Python interpreter gave no answer; what it said is below\n/bin/sh: 1: sudo: not found",
            C::NodeSudoFailed,
        ),
        (
            "pressluft.host.converge",
            Some("FAILED"),
            "the build said: sudo: command not found",
            C::AnsibleHostFailed,
        ),
        (
            "pressluft.host.converge",
            Some("NO_ANSWER"),
            "the node's Python interpreter gave no answer; what it said is below\nfoo: not found",
            C::AnsibleHostFailed,
        ),
        (
            "pressluft.host.languages",
            Some("LANGUAGE_UNAVAILABLE"),
            "`sources.languages` has no language pack for it",
            C::LanguageUnavailable,
        ),
        (
            "pressluft.host.health",
            Some("HEALTH_CHECK_FAILED"),
            "2 findings",
            C::HealthCheckFailed,
        ),
        (
            "pressluft.host.converge",
            Some("NODE_FENCED"),
            "this run's claim is over",
            C::NodeFenced,
        ),
        (
            "pressluft.host.facts",
            Some("NODE_ANSWER_REFUSED"),
            "the answer may not have `add_host`",
            C::NodeAnswerRefused,
        ),
        (
            "pressluft.host.health",
            Some("NODE_ANSWER_REFUSED"),
            "the answer may not have `add_host`",
            C::NodeAnswerRefused,
        ),
        (
            "pressluft.host.converge",
            Some("FAILED"),
            "a site said: Missing sudo password",
            C::AnsibleHostFailed,
        ),
        (
            "pressluft.host.wordpress",
            None,
            "a site said: Missing sudo password",
            C::AnsibleHostFailed,
        ),
        (
            "pressluft.host.health",
            Some("NO_ANSWER"),
            "/bin/sh: 1: sudo: not found",
            C::NodeSudoFailed,
        ),
        (
            "pressluft.host.health",
            Some("FAILED"),
            "nobody waits for this check any more",
            C::AnsibleHostFailed,
        ),
        (
            "ansible.builtin.raw",
            Some("NODE_FENCED"),
            "says the node",
            C::AnsibleHostFailed,
        ),
    ];
    for (action, code, msg, expected) in table {
        let mut event = task(action, TaskStatus::Failed, None, msg);
        if let (Event::Task(result), Some(code)) = (&mut event, code) {
            result.result = Some(serde_json::json!({ "code": code }));
        }
        let events = [play(), event, stats(1, 0)];
        assert_eq!(
            outcome(&events, ProcessEnd::Exited(2), ""),
            Err(expected),
            "{action} {msg}"
        );
    }
}

#[test]
fn messages_are_bounded_and_whole() {
    let text = "ä".repeat(LONGEST_MESSAGE);
    assert_eq!(tail(&text, 3), "ä");
    let failure = Failure::new(ErrorCode::AnsibleHostFailed, &text);
    assert_eq!(failure.message.len(), LONGEST_MESSAGE);
    assert_eq!(tail("short", 100), "short");
}

#[test]
fn every_code_is_documented() {
    let document = include_str!("../../docs/error-codes.md");
    for code in ErrorCode::ALL {
        assert!(document.contains(&format!("`{code}`")), "{code} is missing");
    }
}
