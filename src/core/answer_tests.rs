use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::core::event::{Event, TaskStatus};

fn facts() -> Value {
    json!({
        "distribution": "debian", "version": "12", "codename": "bookworm", "architecture": "amd64",
        "kernel": "6.1.0-18-amd64", "memory_bytes": 2_063_048_704_u64, "cpus": 2,
        "machine_id": "0f0e0d0c0b0a09080706050403020100", "hostname": "web-1", "python": "3.11.2",
        "control_address": "198.51.100.7", "ipv4": ["203.0.113.10"], "ipv6": ["2001:db8::10"],
        "virtualization": "kvm", "systemd": true, "disk_free_bytes": 17_179_869_184_u64,
    })
}

fn with(mut value: Value, key: &str, other: Value) -> Value {
    value[key] = other;
    value
}

fn answer(action: &str, result: Value) -> Result<Answer, WrongAnswer> {
    Answer::of(&TaskResult {
        task: "a task".to_owned(),
        action: action.to_owned(),
        host: "web-1".to_owned(),
        status: TaskStatus::Ok,
        seconds: 0.1,
        msg: None,
        diff: Vec::new(),
        rc: None,
        stdout: None,
        stderr: None,
        result: Some(result),
    })
}

fn facts_answer(facts: &Value) -> Result<Answer, WrongAnswer> {
    answer("pressluft.host.facts", json!({ "facts": facts }))
}

#[test]
fn what_our_programs_say_is_read() {
    let read = facts_answer(&facts()).expect("honest facts");
    assert_eq!(read.facts.map(|facts| facts.cpus), Some(2));
    let other = with(
        with(facts(), "control_address", Value::Null),
        "version",
        json!(""),
    );
    facts_answer(&other).expect("a node without a version");
    let name = "wordpress-7.1.1-0123456789ab";
    let result = json!({"release": name, "wordpress_version": "7.1.1", "by_hand": ["a grant"]});
    let read = answer("pressluft.host.release", result.clone()).expect("an honest answer");
    assert_eq!(
        read.release,
        Some(ServedRelease {
            name: name.to_owned(),
            wordpress_version: Some("7.1.1".to_owned()),
        })
    );
    let look = answer("pressluft.host.code", json!({"only_seen": true})).expect("an answer");
    assert!(look.only_seen);
    let fenced = answer("pressluft.host.converge", json!({"code": "NODE_FENCED"}));
    assert_eq!(fenced.expect("an answer").code, Some(FailureCode::Fenced));
    for wrong in [json!({"code": "SSH_AUTH_FAILED"}), json!({"code": 1})] {
        let refused = answer("pressluft.host.converge", wrong);
        assert!(matches!(refused, Err(WrongAnswer::Code(_))), "{refused:?}");
    }
    for version in [json!(""), json!("7.1 x"), json!(7.1), json!("1".repeat(33))] {
        let result = json!({"release": name, "wordpress_version": version});
        let refused = answer("pressluft.host.release", result);
        assert!(
            matches!(refused, Err(WrongAnswer::Version(_))),
            "{refused:?}"
        );
    }
    assert_eq!(read.by_hand, ["a grant"]);
    let none = answer("pressluft.host.release", json!({"release": ""}));
    assert_eq!(none, Ok(Answer::default()));
    assert_eq!(
        answer("ansible.builtin.command", result),
        Ok(Answer::default())
    );
}

#[test]
fn facts_that_no_node_has_are_refused_by_name() {
    for (field, value) in [
        ("distribution", json!("deb ian")),
        ("version", json!("12\n")),
        ("codename", json!("x".repeat(65))),
        ("kernel", json!("{{ x }}")),
        ("machine_id", json!("../x")),
        ("hostname", json!("a;b")),
        ("python", json!("3.11\u{202e}")),
        ("memory_bytes", json!(u64::MAX)),
        ("cpus", json!(0)),
        ("control_address", json!("a.example")),
        ("control_address", json!("fe80::1%eth0")),
        ("ipv4", json!(["2001:db8::1"])),
        ("ipv4", json!(vec!["203.0.113.1"; 65])),
        ("ipv6", json!(["203.0.113.1"])),
        ("virtualization", json!("k v m")),
    ] {
        let error = facts_answer(&with(facts(), field, value)).expect_err(field);
        let message = error.to_string();
        assert!(message.contains(&format!("`{field}`")), "{message}");
        assert!(message.starts_with("the node's facts are not what a node has: "));
        assert!(
            !message.contains(['\n', '\u{202e}']) && message.len() < 300,
            "{message}"
        );
    }
    for wrong in [
        json!({}),
        json!([]),
        json!("x"),
        with(facts(), "add_host", json!({})),
    ] {
        facts_answer(&wrong).expect_err("no facts");
    }
}

#[test]
fn a_release_and_findings_are_what_they_have_to_be() {
    for name in [
        json!("../etc"),
        json!(".x"),
        json!("a b"),
        json!("x".repeat(129)),
        json!(7),
    ] {
        let result = json!({ "release": name });
        answer("pressluft.host.release", result).expect_err("no name of a release");
    }
    for found in [
        json!("x"),
        json!([1]),
        json!(vec!["x"; 129]),
        json!(["x".repeat(5000)]),
    ] {
        let result = json!({ "by_hand": found });
        answer("pressluft.host.wordpress", result).expect_err("no findings");
    }
}

/// JSON that nests, with keys that mean something here and others.
fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        ".{0,20}".prop_map(Value::from),
        Just(facts()),
    ];
    let key = prop_oneof![
        Just("facts".to_owned()),
        Just("release".to_owned()),
        Just("by_hand".to_owned()),
        Just("hostname".to_owned()),
        Just("ipv4".to_owned()),
        Just("event".to_owned()),
        Just("result".to_owned()),
        ".{0,8}",
    ];
    leaf.prop_recursive(4, 48, 6, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::btree_map(key.clone(), inner, 0..6)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn any_bytes_are_an_event_or_unreadable(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        prop_assert_eq!(Event::parse(&bytes), Event::Unreadable { bytes: bytes.len() });
    }

    #[test]
    fn an_event_with_any_result_ends_in_an_answer_or_a_refusal(result in any_json(), seconds in any_json()) {
        let event = json!({
            "event": "task", "task": "t", "action": "pressluft.host.facts", "host": "h",
            "status": "ok", "seconds": seconds, "result": result,
        });
        match Event::parse(event.to_string().as_bytes()) {
            Event::Task(task) => {
                prop_assert!(task.seconds.is_finite());
                if let Ok(answer) = Answer::of(&task) {
                    prop_assert!(answer.by_hand.len() <= MOST_FINDINGS);
                    prop_assert!(answer.release.is_none_or(|release| release.name.len() <= LONGEST_RELEASE));
                    let taken = answer.facts.map(|facts| serde_json::to_value(facts).ok());
                    let given = task.result.as_ref().and_then(|result| result.get("facts"));
                    prop_assert!(taken.is_none_or(|taken| taken.as_ref() == given));
                }
            }
            Event::Unreadable { .. } => {}
            other => prop_assert!(false, "{other:?}"),
        }
    }

    #[test]
    fn facts_with_any_field_are_true_to_their_bounds(field in 0_usize..16, value in any_json()) {
        let honest = facts();
        let key = honest.as_object().and_then(|map| map.keys().nth(field).cloned());
        let changed = with(honest, &key.unwrap_or_default(), value);
        if let Ok(answer) = facts_answer(&changed) {
            let facts = answer.facts.expect("facts came");
            prop_assert!(facts.hostname.len() <= 64 && facts.ipv4.len() <= 64 && facts.cpus > 0);
        }
    }
}
