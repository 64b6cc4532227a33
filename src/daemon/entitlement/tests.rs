use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::*;

fn spec(json: Value) -> Spec {
    serde_json::from_value(json).expect("a spec")
}

/// The payload of a job of staging of acme.
fn payload() -> JobPayload {
    JobPayload {
        fleet: spec(json!({"name": "studio"})),
        node: spec(json!({"name": "web-1", "ssh": {"key": "secret:nodes/web-1/ssh"}})),
        site: Some(spec(json!({"name": "acme"}))),
        env: Some(spec(json!({"site": "acme", "name": "staging",
            "safety": {"basic_auth": "secret:sites/acme/login"},
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
    foreign.env = Some(spec(json!({"site": "acme", "name": "staging",
        "constants": {"KEY": "secret:sites/bakery/stripe"}})));
    foreign.secrets = vec!["sites/bakery/stripe".to_owned()];
    assert!(refused(&foreign).contains("belongs to `site/bakery`"));

    let mut settings = payload();
    settings.env = Some(spec(json!({"site": "acme", "name": "staging",
        "constants": {"KEY": "secret:git/status"}})));
    settings.fleet = spec(json!({"secrets": {"grants": [{"secret": "git/*", "to": ["sites"]}]}}));
    settings.secrets = vec!["git/status".to_owned()];
    assert!(refused(&settings).contains("whose settings use it"));

    let mut key = payload();
    key.node = spec(json!({"name": "web-1", "ssh": {"key": "secret:nodes/web-2/ssh"}}));
    assert!(refused(&key).contains("belongs to `node/web-2`"));

    // What was generated for an environment is found by its name, so that is looked at, too.
    let mut other = payload();
    other.env = Some(spec(json!({"site": "bakery", "name": "staging"})));
    other.secrets.clear();
    assert!(refused(&other).contains("has the documents of `env/bakery/staging`"));
    let mut twin = payload();
    twin.env = Some(spec(json!({"site": "acme", "name": "production"})));
    twin.secrets.clear();
    assert!(refused(&twin).contains("has the documents of `env/acme/production`"));
    let mut node = payload();
    node.node = spec(json!({"name": "web-2"}));
    assert!(refused(&node).contains("has the documents of `node/web-2`"));
}

#[test]
fn a_grant_of_the_plans_fleet_counts() {
    let mut granted = payload();
    granted.env = Some(spec(json!({"site": "acme", "name": "staging",
        "constants": {"KEY": "secret:mail/relay"}})));
    granted.secrets = vec!["mail/relay".to_owned()];
    assert!(refused(&granted).contains("belongs to the fleet"));
    granted.fleet =
        spec(json!({"secrets": {"grants": [{"secret": "mail/relay", "to": ["site/acme"]}]}}));
    let found = asked(&granted, JobType::EnvConfigure).expect("it is granted");
    assert!(found.handed.contains("mail/relay"));
}
