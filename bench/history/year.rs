//! A fleet that lives: four looks for drift and a health check a day, a change a month for each
//! environment, and now and then something that is wrong for some hours.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};
use pressluft::core::change::SpecPatch;
use pressluft::core::drift::Differences;
use pressluft::core::event::TaskStatus;
use pressluft::core::id::ResourceId;
use pressluft::core::job::{ErrorCode, JobOrigin, JobType};
use pressluft::core::recorded::{JobId, PlanId, ResourceStatus, Source};
use pressluft::store::{
    Finish, Joins, NewJob, NewPlan, NewTaskEvent, Outcome, RecordPatch, Revision, Scope,
    StateChange, Store,
};
use serde_json::json;

use super::Result;

const REVISION: &str = "4f5c7f0d6f0f4c6c8a0b7b2f9f1d6a1e2b3c4d5e";
/// Environments of one node.
const ON_NODE: usize = 20;
/// Of so many looks one finds something wrong.
const WRONG: u64 = 300;
/// A spec has about so many bytes.
const SPEC: usize = 1_200;
const LOOKS: i64 = 4;

pub(crate) struct Fleet {
    environments: usize,
    nodes: usize,
}

/// A moment of a day.
pub(crate) fn day(day: i64, seconds: i64) -> Timestamp {
    let start = Timestamp::from_second(1_771_718_400).unwrap_or(Timestamp::UNIX_EPOCH);
    start + SignedDuration::from_secs(day * 86_400 + seconds)
}

pub(crate) fn environment(n: usize) -> ResourceId {
    ResourceId::Env {
        site: format!("site-{n}"),
        name: "production".to_owned(),
    }
}

fn node(n: usize) -> String {
    format!("node-{:04}", n / ON_NODE)
}

fn record(id: ResourceId, node: Option<String>, text: &str) -> StateChange {
    let spec = json!({ "php": { "memory": text }, "filler": "x".repeat(SPEC) });
    let spec = serde_json::from_value(spec).unwrap_or_default();
    StateChange::Patch(Box::new(RecordPatch {
        id,
        patch: SpecPatch::of(&spec),
        status: Some(ResourceStatus::Active),
        node,
        revision: REVISION.to_owned(),
        source: Some(Source {
            file: "sites/a.yaml".to_owned(),
            line: 1,
        }),
        fingerprints: BTreeMap::new(),
    }))
}

impl Fleet {
    /// Records it.
    pub(crate) fn record(store: &mut Store, environments: usize) -> Result<Self> {
        let revision = Revision {
            id: REVISION.to_owned(),
            author: None,
            message: None,
            committed_at: None,
            dirty: false,
        };
        store.save_revision(&revision, day(0, 0))?;
        let nodes = environments.div_ceil(ON_NODE);
        let mut all = Vec::new();
        for n in 0..nodes {
            all.push(record(ResourceId::Node(format!("node-{n:04}")), None, "1"));
        }
        for n in 0..environments {
            all.push(record(environment(n), Some(node(n)), "1"));
        }
        for some in all.chunks(500) {
            store.set_recorded(some, &[], "adopted", "ops", day(0, 0))?;
        }
        Ok(Self {
            environments,
            nodes,
        })
    }

    /// One day; how many looks it had. `claims` gets how long each claim took.
    pub(crate) fn live(
        &self,
        store: &mut Store,
        today: i64,
        claims: &mut Vec<Duration>,
    ) -> Result<u64> {
        let mut looks = 0;
        let mut second = 0;
        let mut next = || {
            second += 1;
            day(today, second % 86_000)
        };
        for n in 0..self.environments {
            if (n as i64 + today) % 30 == 0 {
                let mut new = job(JobType::EnvConfigure, environment(n), node(n), next());
                new.origin = JobOrigin::Plan;
                new.has_effects = true;
                new.changes = r#"[{"path":"php.memory","before":"1","after":"2"}]"#.to_owned();
                run(store, new, today, 0, claims)?;
            }
        }
        for turn in 0..LOOKS {
            for n in 0..self.nodes {
                let id = ResourceId::Node(format!("node-{n:04}"));
                let node = format!("node-{n:04}");
                let new = job(JobType::DriftCheck, id, node, next());
                run(store, new, today, turn, claims)?;
                looks += 1;
            }
            for n in 0..self.environments {
                let new = job(JobType::DriftCheck, environment(n), node(n), next());
                run(store, new, today, turn, claims)?;
                looks += 1;
            }
        }
        for n in 0..self.environments {
            let new = job(JobType::HealthCheck, environment(n), node(n), next());
            run(store, new, today, 0, claims)?;
            looks += 1;
        }
        Ok(looks)
    }
}

fn job(job_type: JobType, resource: ResourceId, node: String, now: Timestamp) -> NewJob {
    // The parts of its payload: those of the fleet, its node, its site and itself.
    let part = |name: &str| blake3::hash(name.as_bytes()).to_hex().to_string();
    let payload = json!({
        "parts": {
            "fleet": part("fleet"), "node": part(&node), "site": part(&resource.to_string()),
            "env": part(&format!("env {resource}")), "secrets": [], "templates": null,
        },
        "effects": [], "repo_secrets": {},
    });
    NewJob {
        id: JobId::new(now, rand::random()),
        job_type,
        resource,
        node,
        origin: JobOrigin::Schedule,
        max_attempts: 1,
        run_after: now,
        status_on_start: None,
        status_on_failure: (job_type == JobType::HealthCheck).then_some(ResourceStatus::Failed),
        reason: format!("scheduled for {now}"),
        changes: "[]".to_owned(),
        has_effects: false,
        payload: payload.to_string(),
        depends_on: vec![],
    }
}

fn run(
    store: &mut Store,
    new: NewJob,
    today: i64,
    turn: i64,
    claims: &mut Vec<Duration>,
) -> Result<()> {
    let now = new.run_after;
    let (job_type, resource, lane) = (new.job_type, new.resource.clone(), new.node.clone());
    let text = format!("{resource} {job_type} {today} {turn}");
    let hash = blake3::hash(text.as_bytes());
    let chance = u64::from_le_bytes(hash.as_bytes()[..8].try_into()?);
    let is_wrong = chance.is_multiple_of(WRONG);
    let plan = NewPlan {
        id: PlanId::new(now, rand::random()),
        revision: REVISION.to_owned(),
        digest: hash.to_hex().to_string(),
        partial: true,
        joins: Joins::Nothing,
        expected: vec![],
    };
    let parts: BTreeMap<String, String> = ["fleet", &lane, &resource.to_string()]
        .into_iter()
        .map(|name| {
            let digest = blake3::hash(name.as_bytes()).to_hex().to_string();
            (
                digest,
                json!({ "name": name, "filler": "x".repeat(SPEC) }).to_string(),
            )
        })
        .chain([(
            blake3::hash(format!("env {resource}").as_bytes())
                .to_hex()
                .to_string(),
            json!({ "name": resource, "filler": "x".repeat(SPEC) }).to_string(),
        )])
        .collect();
    store.keep_parts(&parts)?;
    if job_type.only_looks() {
        store.enqueue_requests(&plan, &[new], "serve", now)?;
    } else {
        store.enqueue(&plan, &[new], "serve", now)?;
    }
    let began = Instant::now();
    let claim = store.claim("worker", Scope::All, now)?;
    claims.push(began.elapsed());
    let claim = claim.ok_or("nothing is queued")?;
    let events: Vec<NewTaskEvent> = ["Fence the node", "Look at it", "Let go"]
        .into_iter()
        .map(|task| NewTaskEvent {
            at: now,
            task: task.to_owned(),
            status: TaskStatus::Ok,
            seconds: Some(0.1),
            diff: None,
            message: None,
        })
        .collect();
    store.append_events(claim.job.id, claim.token, &events, now)?;
    let mut changes = Vec::new();
    let mut outcome = Outcome::Succeeded;
    match job_type {
        JobType::DriftCheck => changes.push(StateChange::Looked {
            id: resource.clone(),
            found: Differences {
                tasks: match is_wrong {
                    true => vec!["Serve the code".to_owned()],
                    false => Vec::new(),
                },
                by_hand: Vec::new(),
            },
        }),
        JobType::HealthCheck if is_wrong => {
            outcome = Outcome::Failed {
                code: ErrorCode::HealthCheckFailed,
                message: "it answers with 503".to_owned(),
            };
        }
        JobType::HealthCheck => {}
        _ => changes.push(record(resource.clone(), Some(lane), &now.to_string())),
    }
    if outcome == Outcome::Succeeded {
        changes.push(StateChange::Status {
            id: resource,
            status: ResourceStatus::Active,
        });
    }
    let finish = Finish {
        job: claim.job.id,
        token: claim.token,
        outcome,
        changes: &changes,
    };
    store.finish(&finish, "worker", now + SignedDuration::from_millis(1_500))?;
    Ok(())
}
