//! The plan as JSON lines; equal plans give equal bytes.

use serde_json::{Value, json};

use super::Heading;
use crate::core::plan::Plan;

/// Every line of the stream after `version`, to `summary`.
pub(crate) fn json(plan: &Plan, heading: &Heading) -> Vec<Value> {
    let counts = plan.counts();
    let mut lines =
        vec![json!({"type": "revision", "commit": heading.commit, "dirty": heading.dirty})];
    lines.extend(plan.jobs.iter().map(|job| {
        json!({
            "type": "planned_job",
            "id": job.id,
            "job_type": job.job_type,
            "resource": job.resource,
            "node": job.node,
            "action": job.action,
            "reason": job.reason,
            "changes": job.changes,
            "after": job.after,
        })
    }));
    lines.extend(plan.records.iter().map(
        |record| json!({"type": "record", "resource": record.resource, "changes": record.changes}),
    ));
    lines.extend(plan.blocked.iter().map(|blocked| {
        json!({
            "type": "blocked",
            "resource": blocked.resource,
            "code": blocked.code,
            "message": blocked.message,
        })
    }));
    lines.extend(plan.removed.iter().map(|removed| {
        json!({"type": "removed", "resource": removed.resource, "message": removed.message})
    }));
    lines.push(json!({
        "type": "summary",
        "jobs": counts.jobs,
        "create": counts.create,
        "update": counts.update,
        "delete": counts.delete,
        "blocked": counts.blocked,
        "removed": counts.removed,
        "records": counts.records,
        "partial": plan.partial,
    }));
    lines
}
