//! What several pages show: a condition, a row of a job, the fields of a spec.

use jiff::Timestamp;
use serde::Serialize;
use serde_json::{Map, Value};

use super::text::{first_line, plain, short};
use super::when::{When, took};
use crate::core::condition::{ConditionKind, ConditionSince, Standing};
use crate::core::id::ResourceId;
use crate::core::leaf::leaves;
use crate::core::recorded::JobId;
use crate::store::Job;

/// A resource as a link.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Link {
    pub(super) id: String,
    pub(super) href: Option<String>,
}

impl Link {
    pub(super) fn to(id: &ResourceId) -> Self {
        let href = match id {
            ResourceId::Fleet => None,
            ResourceId::Node(name) => Some(format!("/nodes/{name}")),
            ResourceId::Site(name) => Some(format!("/sites/{name}")),
            ResourceId::Env { site, name } => Some(format!("/sites/{site}/environments/{name}")),
        };
        Self {
            id: id.to_string(),
            href,
        }
    }
}

/// How a resource stands.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Stand {
    pub(super) resource: Link,
    /// Its own name, without kind and site.
    pub(super) name: String,
    pub(super) word: &'static str,
    pub(super) code: Option<String>,
    pub(super) reason: Option<String>,
    pub(super) beside: Vec<Beside>,
    pub(super) since: When,
    pub(super) job: Option<JobId>,
    pub(super) desired: Option<Revision>,
    pub(super) attempted: Option<Revision>,
    pub(super) applied: Option<Revision>,
}

/// A revision, short and whole.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Revision {
    pub(super) id: String,
    pub(super) short: String,
}

impl Revision {
    pub(super) fn new(id: &str) -> Self {
        Self {
            id: id.to_owned(),
            short: short(id),
        }
    }
}

/// What holds of a resource besides its most urgent condition.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Beside {
    word: &'static str,
    code: Option<String>,
    reason: Option<String>,
}

impl Beside {
    fn new(other: &ConditionSince) -> Self {
        let condition = &other.condition;
        Self {
            word: condition.kind().as_str(),
            code: condition.code().map(str::to_owned),
            reason: condition.reason().map(first_line),
        }
    }
}

impl Stand {
    pub(super) fn new(standing: &Standing, now: Timestamp) -> Self {
        let revision = |id: &Option<String>| id.as_deref().map(Revision::new);
        Self {
            resource: Link::to(&standing.id),
            name: name(&standing.id),
            word: standing.condition.kind().as_str(),
            code: standing.condition.code().map(str::to_owned),
            reason: standing.condition.reason().map(first_line),
            beside: standing.beside.iter().map(Beside::new).collect(),
            since: When::new(standing.changed_at, now),
            job: standing.job,
            desired: revision(&standing.desired_revision),
            attempted: revision(&standing.attempted_revision),
            applied: revision(&standing.applied_revision),
        }
    }
}

/// The last part of an id.
pub(super) fn name(id: &ResourceId) -> String {
    match id {
        ResourceId::Fleet => "fleet".to_owned(),
        ResourceId::Node(name) | ResourceId::Site(name) | ResourceId::Env { name, .. } => {
            name.clone()
        }
    }
}

/// Whether somebody should look at it.
pub(super) fn wants_attention(kind: ConditionKind) -> bool {
    match kind {
        ConditionKind::Failed
        | ConditionKind::Stalled
        | ConditionKind::Blocked
        | ConditionKind::Drifted => true,
        ConditionKind::Suspended | ConditionKind::Reconciling | ConditionKind::Ready => false,
    }
}

/// A job in a list.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Row {
    pub(super) id: JobId,
    /// `env configure`
    pub(super) what: String,
    pub(super) resource: Link,
    pub(super) node: Link,
    pub(super) status: &'static str,
    pub(super) reason: String,
    pub(super) revision: Revision,
    pub(super) created: When,
    pub(super) started: Option<When>,
    pub(super) took: String,
    pub(super) attempt: u32,
    pub(super) error_code: Option<&'static str>,
    /// When it is tried again, where it waits for that.
    pub(super) next: Option<When>,
}

impl Row {
    pub(super) fn new(job: &Job, now: Timestamp) -> Self {
        let waits = !job.status.is_terminal() && job.started_at.is_some() && job.run_after > now;
        Self {
            id: job.id,
            what: words(job.job_type.as_str()),
            resource: Link::to(&job.resource),
            node: Link::to(&ResourceId::Node(job.node_id.clone())),
            status: job.status.as_str(),
            reason: first_line(&job.reason),
            revision: Revision::new(&job.revision),
            created: When::new(job.created_at, now),
            started: When::option(job.started_at, now),
            took: took(job.started_at, job.finished_at, now),
            attempt: job.attempt_count,
            error_code: job.error_code.map(|code| code.as_str()),
            next: waits.then(|| When::new(job.run_after, now)),
        }
    }
}

/// Rows of jobs.
pub(super) fn rows(jobs: &[Job], now: Timestamp) -> Vec<Row> {
    jobs.iter().map(|job| Row::new(job, now)).collect()
}

/// `env_configure` as people say it.
pub(super) fn words(name: &str) -> String {
    name.replace('_', " ")
}

/// One field of a spec, and what is written there.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Field {
    pub(super) path: String,
    pub(super) value: String,
}

/// The fields of a spec, as `php.memory`.
pub(super) fn fields(spec: &Map<String, Value>) -> Vec<Field> {
    leaves(spec)
        .into_iter()
        .map(|(path, value)| Field {
            path: path.join("."),
            value: written(value),
        })
        .collect()
}

/// A value as people write it.
pub(super) fn written(value: &Value) -> String {
    match value {
        Value::Null => "—".to_owned(),
        Value::String(text) => plain(text),
        Value::Array(items)
            if items
                .iter()
                .all(|item| !item.is_object() && !item.is_array()) =>
        {
            items.iter().map(written).collect::<Vec<_>>().join(", ")
        }
        other => plain(&other.to_string()),
    }
}
