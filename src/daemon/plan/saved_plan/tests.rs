use std::collections::BTreeMap;
use std::fs;
use std::sync::Arc;

use serde_json::json;

use super::*;
use crate::core::change::{Change, SpecPatch};
use crate::core::id::ResourceId;
use crate::core::job::JobType;
use crate::core::leaf::{Leaf, Pool};
use crate::core::plan::{
    Action, BlockCode, Blocked, Effect, Plan, PlannedJob, RecordOnly, Removed,
};
use crate::core::recorded::Source;
use crate::core::spec::{Spec, SpecHash};
use crate::daemon::plan::prepared::PlannedRevision;

fn id(text: &str) -> ResourceId {
    text.parse().expect("an id")
}

/// A plan with something of everything.
fn prepared() -> Prepared {
    let mut pool = Pool::default();
    let mut effect = |of: &str, fields: serde_json::Value| {
        let spec: Spec = serde_json::from_value(fields).expect("an object");
        Effect {
            resource: id(of),
            patch: SpecPatch::of_shared(&spec, &mut pool),
            source: Some(Source {
                file: "sites/ä.yaml".to_owned(),
                line: 3,
            }),
            fingerprints: BTreeMap::from([("http.key".to_owned(), "f".to_owned())]),
        }
    };
    let php = json!({"memory": "256M", "workers": 4});
    let job = |number: usize, action, effects: Vec<Effect>| PlannedJob {
        id: format!("j{number}"),
        job_type: JobType::EnvConfigure,
        resource: effects[0].resource.clone(),
        node: "web-1".to_owned(),
        action,
        reason: "`php.memory` changed".to_owned(),
        changes: vec![Change {
            path: "php.memory".to_owned(),
            before: json!(null),
            after: json!("256M\n"),
            resource: None,
        }],
        after: (0..number).map(|before| format!("j{before}")).collect(),
        effects,
    };
    let mut less = effect("env/acme/staging", json!({"php": php}));
    less.patch.unset = vec![vec!["cache".to_owned(), "page".to_owned()]];
    let plan = Plan {
        jobs: vec![
            job(
                0,
                Action::Create,
                vec![
                    effect("site/acme", json!({"name": "acme"})),
                    effect(
                        "env/acme/production",
                        json!({"php": php, "ini": {"a.b": 1}}),
                    ),
                ],
            ),
            job(1, Action::Update, vec![less]),
        ],
        records: vec![RecordOnly {
            resource: ResourceId::Fleet,
            changes: Vec::new(),
            effect: effect("fleet", json!({"name": "studio"})),
        }],
        blocked: vec![Blocked {
            resource: id("node/web-1"),
            code: BlockCode::Held,
            message: "it failed".to_owned(),
        }],
        removed: vec![Removed {
            resource: id("site/old"),
            message: "gone".to_owned(),
        }],
        generations: BTreeMap::from([(id("site/acme"), 3)]),
        partial: true,
    };
    let before = SpecPatch::of_shared(
        &serde_json::from_value(json!({"php": php})).expect("an object"),
        &mut pool,
    );
    Prepared {
        revision: PlannedRevision {
            id: "c0ffee".to_owned(),
            commit: Some("c0ffee".to_owned()),
            ..PlannedRevision::default()
        },
        plan,
        wanted: BTreeMap::from([(id("site/acme"), SpecHash([7; 32]))]),
        before: BTreeMap::from([(id("env/acme/staging"), before)]),
        productions: BTreeMap::from([("acme".to_owned(), "production".to_owned())]),
        templates: BTreeMap::from([("nginx/site.conf".to_owned(), "a\nb".to_owned())]),
        repo_secrets: BTreeMap::from([("sites/acme/key".to_owned(), "YWdl".to_owned())]),
        max_parallel_nodes: Some(8),
    }
}

/// The content of the file that keeps `prepared`.
fn saved(prepared: &Prepared) -> Vec<u8> {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("plan");
    save(&path, prepared).expect("written");
    fs::read(&path).expect("read")
}

fn refusal(bytes: &[u8]) -> String {
    parse(bytes, LINES_LIMIT).expect_err("it is refused")
}

/// The lines of a saved plan after `change`, with their right digest.
fn forged(bytes: &[u8], change: impl FnOnce(String) -> String) -> Vec<u8> {
    let packed = &bytes[FORMAT.len()..bytes.len() - DIGEST];
    let mut lines = String::new();
    let mut unpacked = ZlibDecoder::new(packed);
    unpacked.read_to_string(&mut lines).expect("lines");
    let lines = change(lines);
    let mut packed = ZlibEncoder::new(FORMAT.as_bytes().to_vec(), Compression::new(EFFORT));
    packed.write_all(lines.as_bytes()).expect("packed");
    let digest = blake3::hash(lines.as_bytes()).to_hex();
    let mut bytes = packed.finish().expect("packed");
    bytes.extend(format!("{digest}\n").into_bytes());
    bytes
}

#[test]
fn a_plan_comes_back_as_it_was_kept() {
    let prepared = prepared();
    let bytes = saved(&prepared);
    assert_eq!(saved(&prepared), bytes, "equal plans are equal bytes");
    let back = parse(&bytes, LINES_LIMIT).expect("a plan");
    assert_eq!(back, prepared);
    assert_eq!(back.digest().ok(), prepared.digest().ok());
    assert_eq!(saved(&back), bytes);
    // What resources have in common is there once.
    let memory = |patch: &SpecPatch| -> Leaf {
        let mut leaves = patch.set.iter();
        let found = leaves.find(|leaf| leaf.0 == ["php", "memory"]);
        Arc::clone(found.expect("it is set"))
    };
    let made = memory(&back.plan.jobs[0].effects[1].patch);
    for patch in [
        &back.plan.jobs[1].effects[0].patch,
        &back.before[&id("env/acme/staging")],
    ] {
        assert!(Arc::ptr_eq(&made, &memory(patch)));
    }
}

#[test]
fn a_plan_is_kept_for_its_owner_only_whatever_was_there() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("plan");
    fs::write(&path, "something longer than nothing").expect("written");
    fs::set_permissions(&path, Permissions::from_mode(0o644)).expect("readable");
    save(&path, &prepared()).expect("written");
    let mode = fs::metadata(&path).expect("a file").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    assert_eq!(load(&path).expect("a plan"), prepared());
}

#[test]
fn what_is_no_whole_plan_is_refused() {
    let bytes = saved(&prepared());
    for length in 0..bytes.len() {
        refusal(&bytes[..length]);
        let mut flipped = bytes.clone();
        flipped[length] ^= 1;
        refusal(&flipped);
    }
    refusal(&[&bytes[..], b"\n"].concat());
    let unknown = "it is no saved plan of this version";
    for foreign in ["", "{}", "{\"format\": \"pressluft-plan-2\"}", "\u{7f}ELF"] {
        assert_eq!(refusal(foreign.as_bytes()), unknown);
    }
    let old = [b"pressluft-plan-2\n", &bytes[FORMAT.len()..]].concat();
    assert_eq!(refusal(&old), unknown);
}

#[test]
fn what_was_changed_with_its_old_digest_is_refused() {
    let bytes = saved(&prepared());
    let mut forged = forged(&bytes, |lines| lines.replace("256M", "999M"));
    assert!(parse(&forged, LINES_LIMIT).is_ok());
    let end = forged.len() - DIGEST;
    forged[end..].copy_from_slice(&bytes[bytes.len() - DIGEST..]);
    assert_eq!(refusal(&forged), "it was changed after it was written");
}

#[test]
fn lines_that_make_no_plan_are_refused() {
    let bytes = saved(&prepared());
    let with = |line: &str| forged(&bytes, |lines| format!("{lines}{line}\n"));
    for line in [
        "",
        "[]",
        "{\"job\":{}}",
        "{\"other\":1}",
        "{\"production\":{\"site\":\"a\",\"name\":\"b\",\"more\":1}}",
        "{\"before\":{\"resource\":\"site/a\",\"patch\":{\"set\":[[[\"a\"]]],\"unset\":[]}}}",
        "{\"before\":{\"resource\":\"site/a\",\"patch\":{\"set\":[true],\"unset\":[]}}}",
        "{\"before\":{\"resource\":\"site/a\",\"patch\":{\"set\":[-1],\"unset\":[]}}}",
    ] {
        let why = refusal(&with(line));
        assert!(
            why.contains("no saved plan of this version"),
            "{line}: {why}"
        );
    }
    let deep = format!("[\"a\"{}]", ",\"a\"".repeat(32));
    for (patch, why) in [
        (
            format!("\"set\":[[{deep},1]],\"unset\":[]"),
            "it has a field that is too deep",
        ),
        (
            format!("\"set\":[],\"unset\":[{deep}]"),
            "it has a field that is too deep",
        ),
        (
            format!("\"set\":[{}0],\"unset\":[]", "0,".repeat(LINE_LIMIT / 2)),
            "it has a line that is too long",
        ),
    ] {
        let line = with(&format!(
            "{{\"before\":{{\"resource\":\"site/a\",\"patch\":{{{patch}}}}}}}"
        ));
        assert_eq!(refusal(&line), why);
    }
    let first = |lines: &str| lines.lines().next().unwrap_or_default().to_owned();
    let twice = forged(&bytes, |lines| format!("{lines}{}\n", first(&lines)));
    assert_eq!(refusal(&twice), "it has two plans");
    let headless = forged(&bytes, |lines| {
        lines.replacen(&format!("{}\n", first(&lines)), "", 1)
    });
    assert_eq!(refusal(&headless), "it does not begin with a plan");
    assert_eq!(
        refusal(&forged(&bytes, |_| String::new())),
        "it has no plan"
    );
    let far = with("{\"before\":{\"resource\":\"site/a\",\"patch\":{\"set\":[999],\"unset\":[]}}}");
    assert_eq!(refusal(&far), "it names a field 999 that it does not have");
    let packed = with(&"{}".repeat(100_000));
    assert!(packed.len() < 10_000);
    let why = parse(&packed, 100_000).expect_err("it is refused");
    assert_eq!(why, "it is too large");
}
