//! The JSON interface against its own description, and lists that are walked to their end.

use std::collections::BTreeSet;
use std::path::Path;

use pressluft::core::job::JobType;
use pressluft::web;
use serde_json::Value;

use crate::client::get;
use crate::world::{World, job};

#[test]
#[expect(
    clippy::disallowed_methods,
    reason = "a test is asked to update by the environment"
)]
fn the_description_in_the_repository_is_up_to_date() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/openapi.json");
    let mut text = serde_json::to_string_pretty(web::openapi()).expect("JSON");
    text.push('\n');
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(&path, &text).expect("written");
    }
    assert!(
        std::fs::read_to_string(&path).unwrap_or_default() == text,
        "write it anew with `UPDATE=1 cargo test --test web`"
    );
}

#[test]
fn every_reference_of_the_description_leads_somewhere() {
    let document = web::openapi();
    let mut references = BTreeSet::new();
    collect(document, &mut references);
    assert!(references.len() > 10, "{references:?}");
    for reference in references {
        let pointer = reference.strip_prefix('#').expect("a local reference");
        assert!(document.pointer(pointer).is_some(), "{reference}");
    }
}

fn collect(value: &Value, found: &mut BTreeSet<String>) {
    match value {
        Value::Object(map) => {
            if let Some(Value::String(reference)) = map.get("$ref") {
                found.insert(reference.clone());
            }
            map.values().for_each(|value| collect(value, found));
        }
        Value::Array(items) => items.iter().for_each(|value| collect(value, found)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// Whether `value` is as `schema` says, as far as our schemas say anything.
fn check(value: &Value, schema: &Value, at: &str) {
    let document = web::openapi();
    if let Some(reference) = schema["$ref"].as_str() {
        let pointer = reference.strip_prefix('#').expect("local");
        let target = document.pointer(pointer).expect("there");
        return check(value, target, at);
    }
    for key in ["anyOf", "oneOf"] {
        if let Some(choices) = schema[key].as_array() {
            let fits = choices
                .iter()
                .any(|choice| std::panic::catch_unwind(|| check(value, choice, at)).is_ok());
            assert!(fits, "{at}: {value} is none of {schema}");
        }
    }
    if let Some(constant) = schema.get("const") {
        assert_eq!(value, constant, "{at}");
    }
    if let Some(words) = schema["enum"].as_array() {
        assert!(words.contains(value), "{at}: {value} is none of {words:?}");
    }
    let name = match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(number) if number.is_f64() => "number",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    };
    let is_fine = |kind: &Value| kind == name || (kind == "number" && name == "integer");
    match &schema["type"] {
        Value::Null => {}
        Value::Array(kinds) => assert!(kinds.iter().any(is_fine), "{at}: {value} in {schema}"),
        kind => assert!(is_fine(kind), "{at}: {value} in {schema}"),
    }
    for (index, item) in value.as_array().into_iter().flatten().enumerate() {
        check(item, &schema["items"], &format!("{at}[{index}]"));
    }
    for field in schema["required"].as_array().into_iter().flatten() {
        let field = field.as_str().expect("a name");
        assert!(value.get(field).is_some(), "{at}: {field} is missing");
    }
    for (field, property) in schema["properties"].as_object().into_iter().flatten() {
        if let Some(inner) = value.get(field) {
            check(inner, property, &format!("{at}.{field}"));
        }
    }
}

#[test]
fn answers_are_as_described() {
    let mut world = World::with_fleet();
    let jobs = world.ask("/api/jobs").json();
    let id = jobs["items"][0]["id"].as_str().expect("an id").to_owned();
    let asked = [
        ("/api/jobs", "/api/jobs".to_owned()),
        ("/api/jobs/{id}", format!("/api/jobs/{id}")),
        ("/api/jobs/{id}/events", format!("/api/jobs/{id}/events")),
        ("/api/metrics", "/api/metrics".to_owned()),
        ("/api/nodes", "/api/nodes".to_owned()),
        ("/api/nodes/{id}", "/api/nodes/web-1".to_owned()),
        ("/api/nodes/{id}", "/api/nodes/node%2Fweb-1".to_owned()),
        ("/api/sites", "/api/sites".to_owned()),
        ("/api/sites/{id}", "/api/sites/acme".to_owned()),
        (
            "/api/sites/{id}/environments",
            "/api/sites/acme/environments".to_owned(),
        ),
        (
            "/api/environments/{id}",
            "/api/environments/env%2Facme%2Fproduction".to_owned(),
        ),
        (
            "/api/environments/{id}",
            "/api/environments/env/florist/staging".to_owned(),
        ),
        ("/api/revisions", "/api/revisions".to_owned()),
        ("/api/audit", "/api/audit".to_owned()),
        ("/openapi.json", "/openapi.json".to_owned()),
        ("/healthz", "/healthz".to_owned()),
        ("/readyz", "/readyz".to_owned()),
    ];
    for (path, address) in asked {
        let reply = world.ask(&address);
        assert_eq!(reply.status, 200, "{address}: {}", reply.text());
        let operation = &web::openapi()["paths"][path]["get"];
        let schema = &operation["responses"]["200"]["content"]["application/json"]["schema"];
        assert!(schema.is_object(), "{path} has no schema");
        check(&reply.json(), schema, path);
    }
    let error = &web::openapi()["components"]["schemas"]["Error"];
    check(&world.get("/api/jobs").json(), error, "error");
}

#[test]
fn a_job_says_what_the_design_names() {
    let mut world = World::with_fleet();
    let job = world.ask("/api/jobs?status=failed").json()["items"][0].clone();
    for field in [
        "id",
        "job_type",
        "status",
        "site_id",
        "environment_id",
        "node_id",
        "attempt_count",
        "max_attempts",
        "run_after",
        "locked_at",
        "locked_by",
        "started_at",
        "finished_at",
        "error_code",
        "error_message",
        "created_at",
        "updated_at",
        "revision",
        "reason",
    ] {
        assert!(job.get(field).is_some(), "{field}: {job}");
    }
    assert_eq!(job["environment_id"], "env/florist/staging");
    assert_eq!(job["error_code"], "ANSIBLE_HOST_FAILED");
    let created = job["created_at"].as_str().expect("a time");
    assert!(created.ends_with('Z') && created.contains('T'), "{created}");
    let detail = world
        .ask(&format!("/api/jobs/{}", job["id"].as_str().expect("an id")))
        .json();
    assert_eq!(detail["changes"][0]["path"], "php.memory");
    assert_eq!(detail["attempts"][0]["outcome"], "failed");
}

#[test]
fn conditions_are_told_with_their_reasons() {
    let mut world = World::with_fleet();
    let failed = world.ask("/api/environments/florist/staging").json();
    assert_eq!(failed["condition"]["type"], "failed");
    assert_eq!(failed["condition"]["error_code"], "ANSIBLE_HOST_FAILED");
    assert_eq!(failed["url"], "http://staging--florist.192-0-2-10.sslip.io");
    let blocked = world.ask("/api/environments/harbour/production").json();
    assert_eq!(blocked["condition"]["type"], "blocked");
    assert_eq!(blocked["condition"]["code"], "not-supported");
    let totals = world.ask("/api/metrics").json();
    assert_eq!(
        (&totals["nodes_total"], &totals["sites_total"]),
        (&3.into(), &5.into())
    );
    assert_eq!(
        (&totals["jobs_failed"], &totals["jobs_succeeded"]),
        (&1.into(), &1.into())
    );
    assert_eq!(totals["environments_failed"], 1);
}

#[test]
fn lists_are_walked_to_their_end_in_pages() {
    let mut world = World::with_fleet();
    let jobs: Vec<_> = (0..23)
        .map(|n| job(JobType::HealthCheck, &format!("env/acme/e{n}"), "web-1"))
        .collect();
    world.queue(&jobs, crate::world::FIRST);
    let token = world.token();
    for (list, total) in [
        ("/api/jobs?", 25),
        ("/api/jobs?status=queued&", 23),
        ("/api/jobs?site=acme&status=queued&", 23),
        ("/api/jobs?node=web-2&", 1),
        ("/api/jobs?resource=env/florist/staging&", 1),
        ("/api/nodes?", 3),
        ("/api/sites?", 5),
        ("/api/sites/florist/environments?", 2),
        ("/api/revisions?", 2),
        ("/api/audit?action=plan_queued&", 3),
    ] {
        let (mut cursor, mut found) = (String::new(), Vec::new());
        loop {
            let path = format!("{list}limit=2&cursor={cursor}");
            let page = get(&path).with("Authorization", &token).send(world.address);
            assert_eq!(page.status, 200, "{path}: {}", page.text());
            let page = page.json();
            let items = page["items"].as_array().expect("items").clone();
            assert!(items.len() <= 2, "{path}");
            found.extend(items.iter().map(ToString::to_string));
            match page["cursor"].as_str() {
                Some(next) => cursor = next.to_owned(),
                None => break,
            }
        }
        let distinct: BTreeSet<&String> = found.iter().collect();
        assert_eq!((found.len(), distinct.len()), (total, total), "{list}");
    }
}
