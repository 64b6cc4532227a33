use serde_json::json;

use super::*;
use crate::core::job::JobType;
use crate::core::plan::{Action, PlannedJob};
use crate::core::secret_owner::Reserved;

fn spec(json: serde_json::Value) -> Spec {
    serde_json::from_value(json).expect("a spec")
}

fn lookup(id: &ResourceId) -> Option<Spec> {
    Some(match id {
        ResourceId::Fleet => spec(serde_json::json!({"version": 1, "name": "bench"})),
        ResourceId::Node(name) => spec(serde_json::json!({"name": name, "host": "192.0.2.1",
                "ssh": {"key": format!("secret:nodes/{name}/ssh")}})),
        ResourceId::Site(name) => spec(serde_json::json!({"name": name, "node": "web-1",
            "title": "A site", "admin": {"user": "owner", "email": "owner@acme.example"}})),
        ResourceId::Env { name, .. } if name == "staging" => spec(
            serde_json::json!({"site": "acme", "name": "staging", "type": "staging",
                "from": "production", "cron": {"interval": "0s"},
                "safety": {"basic_auth": "secret:sites/acme/login", "mail": "capture",
                    "noindex": true},
                "constants": {"KEY": "secret:sites/acme/key"}}),
        ),
        ResourceId::Env { site, name } => spec(serde_json::json!({"site": site, "name": name,
            "type": "production", "safety": {"mail": "send", "noindex": false},
            "cron": {"interval": "5m"}})),
    })
}

fn job(resource: ResourceId) -> PlannedJob {
    PlannedJob {
        id: "j0".to_owned(),
        job_type: JobType::EnvCreate,
        resource,
        node: "web-1".to_owned(),
        action: Action::Create,
        reason: String::new(),
        changes: Vec::new(),
        after: Vec::new(),
        effects: Vec::new(),
    }
}

fn queued(parts: PackedPayload) -> QueuedPayload {
    QueuedPayload {
        parts,
        effects: Vec::new(),
        repo_secrets: BTreeMap::new(),
    }
}

#[test]
fn what_jobs_share_is_kept_once_and_comes_back_whole() {
    let production_of = |_: &str| Some("production".to_owned());
    let mut packer = Packer::new(&lookup, &production_of, &BTreeMap::new()).expect("no templates");
    let jobs = [
        job(ResourceId::Node("web-1".to_owned())),
        job(ResourceId::Site("acme".to_owned())),
        job(ResourceId::env("acme", "staging")),
    ];
    let packed: Vec<PackedPayload> = jobs
        .iter()
        .map(|job| packer.pack(job).expect("all are known"))
        .collect();
    let parts = packer.take_parts();
    // The fleet, the node, the site and its two environments; the three jobs name 11.
    assert_eq!(parts.0.len(), 5);
    let part = |digest: &str| Ok(parts.0[digest].clone());
    let whole = JobPayload::unpack(queued(packed[2].clone()), &part);
    let whole = whole.expect("every part is there");
    assert_eq!(
        whole.environment_id(),
        Some(ResourceId::env("acme", "staging"))
    );
    let production = ResourceId::env("acme", "production");
    assert_eq!(whole.source_env.map(|env| env.id()), Some(production));
    assert_eq!(
        whole.env.map(|env| env.php.workers.get()),
        Some(4),
        "defaults"
    );
    assert_eq!(whole.secrets, ["sites/acme/key", "sites/acme/login"]);
}

#[test]
fn a_job_has_what_its_documents_use_and_the_key_of_its_node_apart() {
    let production_of = |_: &str| Some("production".to_owned());
    let used = |job_type: JobType, resource: ResourceId| {
        let mut packer =
            Packer::new(&lookup, &production_of, &BTreeMap::new()).expect("no templates");
        let planned = PlannedJob {
            job_type,
            ..job(resource)
        };
        let packed = packer.pack(&planned).expect("all are known");
        assert_eq!(packed.key.as_deref(), Some("nodes/web-1/ssh"));
        packed.secrets
    };
    let node = ResourceId::Node("web-1".to_owned());
    let staging = ResourceId::env("acme", "staging");
    let none: [&str; 0] = [];
    assert_eq!(used(JobType::NodeProvision, node), none);
    assert_eq!(
        used(JobType::EnvConfigure, staging),
        ["sites/acme/key", "sites/acme/login"]
    );
}

#[test]
fn a_job_that_would_use_what_is_not_its_own_is_not_packed() {
    let production_of = |_: &str| Some("production".to_owned());
    let foreign = |id: &ResourceId| match id {
        ResourceId::Env { .. } => Some(spec(serde_json::json!({
            "site": "acme", "name": "production",
            "constants": {"KEY": "secret:sites/bakery/key"}}))),
        other => lookup(other),
    };
    let reserved = Reserved::default();
    let mut packer = Packer::that_looks(&foreign, &production_of, &reserved);
    let planned = job(ResourceId::env("acme", "production"));
    let refused = packer.opened(&planned).expect_err("it is another site's");
    assert!(matches!(refused, DaemonError::NotOwned(_)), "{refused}");
    assert!(
        refused.to_string().contains("belongs to `site/bakery`"),
        "{refused}"
    );
}

#[test]
fn what_another_version_recorded_is_named() {
    let fleet = json!({"version": 1, "name": "x", "sources": {"wordpress": "/srv/wp.zip"}});
    let parts = |id: &ResourceId| match id {
        ResourceId::Fleet => Some(spec(fleet.clone())),
        other => lookup(other),
    };
    let production_of = |_: &str| Some("production".to_owned());
    let mut packer = Packer::new(&parts, &production_of, &BTreeMap::new()).expect("no templates");
    let packed = packer.pack(&job(ResourceId::Node("web-1".to_owned())));
    let (packed, parts) = (packed.expect("known"), packer.take_parts());
    let part = |digest: &str| Ok(parts.0[digest].clone());
    let read = JobPayload::unpack(queued(packed), &part);
    let error = read.expect_err("it has another form");
    assert!(matches!(error, DaemonError::Spec(_)), "{error}");
    assert!(error.to_string().contains("the recorded Fleet"), "{error}");
}

#[test]
fn what_a_job_makes_is_recorded_as_its_payload_has_it() {
    let production_of = |_: &str| Some("production".to_owned());
    let mut packer = Packer::new(&lookup, &production_of, &BTreeMap::new()).expect("no templates");
    let site = ResourceId::Site("acme".to_owned());
    let packed = packer.pack(&job(site.clone())).expect("known");
    let parts = packer.take_parts();
    let effect = Effect {
        patch: SpecPatch::of(&lookup(&site).expect("known")),
        resource: site,
        source: None,
        fingerprints: BTreeMap::new(),
    };
    let payload = |is_whole| QueuedPayload {
        effects: vec![QueuedEffect::new(&effect, is_whole)],
        ..queued(packed.clone())
    };
    let (whole, apart) = (json!(payload(true)), json!(payload(false)));
    assert_eq!(whole["effects"][0]["patch"], json!(null), "not said twice");
    for queued in [whole, apart] {
        let queued = serde_json::from_value(queued).expect("as it was written");
        let part = |digest: &str| Ok(parts.0[digest].clone());
        let payload = JobPayload::unpack(queued, &part).expect("every part is there");
        assert_eq!(payload.effects, std::slice::from_ref(&effect));
    }
}
