//! The plan as JSON lines; equal plans give equal bytes.

use std::io::{self, Write};

use serde::Serialize;
use serde_json::{Value, json};

use super::Heading;
use crate::core::change::Change;
use crate::core::id::ResourceId;
use crate::core::job::JobType;
use crate::core::plan::{Action, Plan, PlannedJob};

/// Writes every line of the stream between `version` and `summary`, one after the other.
pub(crate) fn json(out: &mut dyn Write, plan: &Plan, heading: &Heading) -> io::Result<()> {
    line(
        out,
        &json!({"type": "revision", "commit": heading.commit, "dirty": heading.dirty}),
    )?;
    for job in &plan.jobs {
        line(out, &Job::new(job, &job.shown_changes()))?;
    }
    for record in &plan.records {
        line(
            out,
            &json!({"type": "record", "resource": record.resource, "changes": record.changes}),
        )?;
    }
    for blocked in &plan.blocked {
        line(
            out,
            &json!({
                "type": "blocked",
                "resource": blocked.resource,
                "code": blocked.code,
                "message": blocked.message,
            }),
        )?;
    }
    for removed in &plan.removed {
        line(
            out,
            &json!({"type": "removed", "resource": removed.resource, "message": removed.message}),
        )?;
    }
    Ok(())
}

/// The last line of the stream of a plan.
pub(crate) fn summary(plan: &Plan) -> Value {
    let counts = plan.counts();
    json!({
        "type": "summary",
        "jobs": counts.jobs,
        "create": counts.create,
        "update": counts.update,
        "delete": counts.delete,
        "blocked": counts.blocked,
        "removed": counts.removed,
        "records": counts.records,
        "partial": plan.partial,
    })
}

pub(super) fn line(out: &mut dyn Write, line: &impl Serialize) -> io::Result<()> {
    let mut bytes = serde_json::to_vec(line)?;
    bytes.push(b'\n');
    out.write_all(&bytes)
}

/// The line of a job. A large plan has little else, so it is written without a detour; the fields
/// are sorted as in the other lines.
#[derive(Serialize)]
struct Job<'a> {
    action: Action,
    after: &'a [String],
    changes: Vec<Difference<'a>>,
    id: &'a str,
    job_type: JobType,
    node: &'a str,
    reason: &'a str,
    resource: &'a ResourceId,
    r#type: &'static str,
}

#[derive(Serialize)]
struct Difference<'a> {
    after: &'a Value,
    before: &'a Value,
    path: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    resource: Option<&'a ResourceId>,
}

impl<'a> Job<'a> {
    fn new(job: &'a PlannedJob, changes: &'a [Change]) -> Self {
        let difference = |change: &'a Change| Difference {
            after: &change.after,
            before: &change.before,
            path: &change.path,
            resource: change.resource.as_ref(),
        };
        Self {
            action: job.action,
            after: &job.after,
            changes: changes.iter().map(difference).collect(),
            id: &job.id,
            job_type: job.job_type,
            node: &job.node,
            reason: &job.reason,
            resource: &job.resource,
            r#type: "planned_job",
        }
    }
}
