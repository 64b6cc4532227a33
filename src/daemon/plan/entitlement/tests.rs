use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::*;
use crate::core::document::{Environment, Fleet, Node};

fn document<T: HasSpec>(plain: Value, more: &Value) -> T {
    let mut spec: Spec = serde_json::from_value(plain).expect("a spec");
    let more = more.as_object().cloned();
    spec.fields_mut().extend(more.expect("an object"));
    T::from_spec(&spec).expect("a document")
}

fn fleet(more: &Value) -> Fleet {
    document(json!({"version": 1, "name": "studio"}), more)
}

fn node(more: &Value) -> Node {
    document(json!({"name": "web-1", "host": "192.0.2.1"}), more)
}

fn env(more: &Value) -> Environment {
    let plain = json!({"site": "acme", "name": "staging", "type": "staging", "from": "production",
        "safety": {"mail": "capture", "noindex": true}, "cron": {"interval": "0s"}});
    document(plain, more)
}

/// The payload of a job of staging of acme.
fn payload() -> JobPayload {
    JobPayload {
        fleet: fleet(&json!({})),
        node: node(&json!({"ssh": {"key": "secret:nodes/web-1/ssh"}})),
        site: Some(document(
            json!({"name": "acme", "node": "web-1", "title": "Acme",
                "admin": {"user": "owner", "email": "owner@acme.example"}}),
            &json!({}),
        )),
        env: Some(env(&json!({
            "safety": {"basic_auth": "secret:sites/acme/login", "mail": "capture", "noindex": true},
            "constants": {"KEY": "secret:sites/acme/key"}}))),
        source_env: None,
        effects: Vec::new(),
        templates: BTreeMap::new(),
        secrets: vec!["sites/acme/key".to_owned(), "sites/acme/login".to_owned()],
        repo_secrets: BTreeMap::new(),
    }
}

fn asked(payload: &JobPayload, job_type: JobType) -> Result<Entitled, NotEntitled> {
    let resource = ResourceId::env("acme", "staging");
    let reserved = Reserved::new(["git/status".to_owned()]);
    entitled(payload, job_type, (&resource, "web-1"), &reserved)
}

fn refused(payload: &JobPayload) -> String {
    let refused = asked(payload, JobType::EnvConfigure).expect_err("it is refused");
    refused.to_string()
}

#[test]
fn a_job_has_what_its_documents_use() {
    let found = asked(&payload(), JobType::EnvConfigure).expect("all is its own");
    let handed: Vec<&str> = found.handed.iter().map(String::as_str).collect();
    assert_eq!(handed, ["sites/acme/key", "sites/acme/login"]);
    assert_eq!(found.key.as_deref(), Some("nodes/web-1/ssh"));
    let look = asked(&payload(), JobType::HealthCheck).expect("all is its own");
    let handed: Vec<&str> = look.handed.iter().map(String::as_str).collect();
    assert_eq!(handed, ["sites/acme/login"]);
    assert!(look.hidden.contains("sites/acme/key"), "{look:?}");
}

#[test]
fn a_name_that_was_put_into_a_payload_is_refused() {
    for name in [
        "git/status",
        "sites/bakery/stripe",
        "nodes/web-1/ssh",
        "sites/acme/other",
    ] {
        let mut payload = payload();
        payload.secrets.push(name.to_owned());
        // The key of its node was among them in earlier versions, and is handed to no play.
        let found = asked(&payload, JobType::EnvConfigure);
        match name {
            "nodes/web-1/ssh" => {
                assert!(!found.expect("it is used").handed.contains(name));
            }
            name => {
                let refused = found.expect_err("nothing uses it").to_string();
                assert!(refused.contains(&format!("`{name}`")), "{refused}");
            }
        }
    }
}

#[test]
fn a_document_that_was_put_into_a_payload_is_refused() {
    let mut foreign = payload();
    foreign.env = Some(env(
        &json!({"constants": {"KEY": "secret:sites/bakery/stripe"}}),
    ));
    foreign.secrets = vec!["sites/bakery/stripe".to_owned()];
    assert!(refused(&foreign).contains("belongs to `site/bakery`"));

    let mut settings = payload();
    settings.env = Some(env(&json!({"constants": {"KEY": "secret:git/status"}})));
    settings.fleet = fleet(&json!({"secrets": {"grants": [{"secret": "git/*", "to": ["sites"]}]}}));
    settings.secrets = vec!["git/status".to_owned()];
    assert!(refused(&settings).contains("whose settings use it"));

    let mut key = payload();
    key.node = node(&json!({"ssh": {"key": "secret:nodes/web-2/ssh"}}));
    assert!(refused(&key).contains("belongs to `node/web-2`"));

    // What was generated for an environment is found by its name, so that is looked at, too.
    let mut other = payload();
    other.env = Some(env(&json!({"site": "bakery"})));
    other.secrets.clear();
    assert!(refused(&other).contains("has the documents of `env/bakery/staging`"));
    let mut twin = payload();
    twin.env = Some(env(&json!({"name": "production"})));
    twin.secrets.clear();
    assert!(refused(&twin).contains("has the documents of `env/acme/production`"));
    let mut another = payload();
    another.node = node(&json!({"name": "web-2"}));
    assert!(refused(&another).contains("has the documents of `node/web-2`"));
}

#[test]
fn a_grant_of_the_plans_fleet_counts() {
    let mut granted = payload();
    granted.env = Some(env(&json!({"constants": {"KEY": "secret:mail/relay"}})));
    granted.secrets = vec!["mail/relay".to_owned()];
    assert!(refused(&granted).contains("belongs to the fleet"));
    granted.fleet =
        fleet(&json!({"secrets": {"grants": [{"secret": "mail/relay", "to": ["site/acme"]}]}}));
    let found = asked(&granted, JobType::EnvConfigure).expect("it is granted");
    assert!(found.handed.contains("mail/relay"));
}
