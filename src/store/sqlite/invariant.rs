//! The invariants of the design that the database alone can show, for tests and `doctor`.

use rusqlite::Connection;
use serde::Serialize;

use super::super::Store;
use super::super::error::Result;

/// An invariant that does not hold.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Violation {
    /// `I1` to `I7`.
    pub invariant: &'static str,
    pub message: String,
}

/// Each query lists what breaks its invariant.
pub(super) const QUERIES: &[(&str, &str)] = &[
    (
        "I1",
        "SELECT 'plan ' || plans.id || ' lost jobs' FROM plans
            JOIN audit ON audit.seq = plans.audit_seq
            WHERE json_extract(audit.detail, '$.jobs') <> plans.removed +
                (SELECT count(*) FROM jobs WHERE jobs.plan_id = plans.id)",
    ),
    (
        "I1",
        // Looks by a schedule have no entry, and those of older plans are in closed segments.
        "SELECT 'plan ' || id || ' was never audited' FROM plans
            WHERE audit_seq > (SELECT coalesce(max(last), 0) FROM audit_segments) AND NOT EXISTS
                (SELECT 1 FROM audit WHERE audit.seq = plans.audit_seq AND action = 'plan_queued'
                     AND json_extract(detail, '$.plan') = plans.id)
         UNION ALL
         SELECT 'plan ' || plans.id || ' was never audited' FROM plans
            WHERE audit_seq IS NULL AND EXISTS (SELECT 1 FROM jobs
                WHERE plan_id = plans.id AND has_effects)",
    ),
    (
        "I1",
        "SELECT 'plan ' || json_extract(detail, '$.plan') || ' is gone' FROM audit
            WHERE action = 'plan_queued'
                AND seq > (SELECT coalesce(max(last), 0) FROM audit_segments)
                AND json_extract(detail, '$.plan') NOT IN (SELECT id FROM plans)
                AND seq NOT IN (SELECT audit_seq FROM removed_plans)",
    ),
    (
        "I1",
        "SELECT 'job ' || jobs.id || ' needs a part that is gone' FROM jobs
            JOIN job_payloads ON job_payloads.job = jobs.id
            JOIN json_each(job_payloads.payload, '$.parts') AS part
            WHERE jobs.status IN ('queued', 'running', 'unknown') AND part.type = 'text'
                AND part.key IN ('fleet', 'node', 'site', 'env', 'source_env', 'templates')
                AND part.value NOT IN (SELECT digest FROM payload_parts)",
    ),
    (
        "I1",
        // Only what ended is taken away, and looks point to the last of them.
        "SELECT 'job ' || id || ' is folded and ' || status FROM jobs
            WHERE folded = 1 AND finished_at IS NULL
         UNION ALL
         SELECT 'the last look at ' || looks.resource || ' is folded' FROM looks
            JOIN jobs ON jobs.id = looks.job WHERE jobs.folded = 1",
    ),
    (
        "I1",
        "SELECT 'job ' || id || ' waits for a wrong number of jobs' FROM jobs
            WHERE status = 'queued' AND blocked_by <>
                (SELECT count(*) FROM job_dependencies AS d JOIN jobs AS other
                 ON other.id = d.depends_on
                 WHERE d.job = jobs.id AND other.status <> 'succeeded')",
    ),
    (
        "I1",
        "SELECT 'job ' || jobs.id || ' waits for a job that never succeeds' FROM jobs
            JOIN job_dependencies AS d ON d.job = jobs.id
            JOIN jobs AS other ON other.id = d.depends_on
            WHERE jobs.status = 'queued' AND other.status IN ('failed', 'cancelled')",
    ),
    (
        "I2",
        "SELECT 'node ' || node_id || ' has several active jobs' FROM jobs NOT INDEXED
            WHERE status IN ('running', 'unknown') GROUP BY node_id HAVING count(*) > 1",
    ),
    (
        "I2",
        "SELECT 'site ' || site_id || ' has several active jobs' FROM jobs NOT INDEXED
            WHERE status IN ('running', 'unknown') AND site_id IS NOT NULL
            GROUP BY site_id HAVING count(*) > 1",
    ),
    (
        "I3",
        "SELECT 'job ' || id || ' is ' || status || ' with open attempts: ' ||
                (SELECT count(*) FROM attempts WHERE job = jobs.id AND outcome IS NULL)
            FROM jobs WHERE (status IN ('running', 'unknown')) <>
                (SELECT count(*) FROM attempts WHERE job = jobs.id AND outcome IS NULL)",
    ),
    (
        "I3",
        "SELECT 'job ' || id || ' ended without an attempt' FROM jobs
            WHERE status IN ('succeeded', 'failed') AND NOT EXISTS
                (SELECT 1 FROM attempts WHERE job = jobs.id)",
    ),
    (
        "I4",
        "SELECT 'attempts and starts of job ' || jobs.id || ' differ' FROM jobs
            JOIN plans ON plans.id = jobs.plan_id AND plans.audit_seq >
                (SELECT coalesce(max(last), 0) FROM audit_segments)
            WHERE (SELECT count(*) FROM attempts WHERE job = jobs.id) <>
                (SELECT count(*) FROM audit WHERE job = jobs.id AND action = 'job_started')",
    ),
    (
        "I4",
        "SELECT 'the audit does not say that job ' || jobs.id || ' is ' || status FROM jobs
            JOIN plans ON plans.id = jobs.plan_id AND plans.audit_seq >
                (SELECT coalesce(max(last), 0) FROM audit_segments)
            WHERE status IN ('succeeded', 'failed', 'cancelled') AND 1 <>
                (SELECT count(*) FROM audit WHERE job = jobs.id
                     AND action = 'job_' || jobs.status)",
    ),
    (
        "I4",
        "SELECT 'the audit says that job ' || id || ' ended, it is ' || status FROM jobs
            WHERE status NOT IN ('succeeded', 'failed', 'cancelled') AND EXISTS
                (SELECT 1 FROM audit WHERE job = jobs.id
                     AND action IN ('job_succeeded', 'job_failed', 'job_cancelled'))",
    ),
    (
        "I4",
        "SELECT 'attempts and ends of job ' || jobs.id || ' differ' FROM jobs
            JOIN plans ON plans.id = jobs.plan_id AND plans.audit_seq >
                (SELECT coalesce(max(last), 0) FROM audit_segments)
            WHERE (SELECT count(*) FROM attempts WHERE job = jobs.id
                       AND outcome IN ('succeeded', 'failed', 'retried', 'interrupted')) <>
                (SELECT count(*) FROM audit WHERE job = jobs.id
                     AND action IN ('job_succeeded', 'job_failed', 'job_requeued'))",
    ),
    (
        "I4",
        // The last word of the audit about each resource; `max` picks the row.
        "WITH words AS (
            SELECT resource AS id, spec_hash AS hash, 0 AS place FROM audit_said
            UNION ALL
            SELECT coalesce(json_extract(change.value, '$.put'),
                            json_extract(change.value, '$.remove')),
                   json_extract(change.value, '$.spec_hash'),
                   audit.seq * 1000000 + change.key
            FROM audit, json_each(audit.detail, '$.changes') AS change
            WHERE audit.action IN ('job_succeeded', 'state_recorded')
                AND audit.seq > (SELECT coalesce(max(last), 0) FROM audit_segments)),
         said AS (SELECT id, hash, max(place) FROM words GROUP BY 1)
         SELECT 'the audit does not say what ' || id || ' is' FROM resources
            LEFT JOIN said USING (id) WHERE said.hash IS NOT lower(hex(resources.spec_hash))
         UNION ALL
         SELECT 'the audit says that ' || id || ' is recorded' FROM said
            WHERE hash IS NOT NULL AND id NOT IN (SELECT id FROM resources)",
    ),
    (
        "I6",
        "SELECT 'token ' || attempts.token || ' is beyond the counter' FROM attempts
            WHERE token > (SELECT value FROM counters WHERE name = 'fencing_token')",
    ),
    (
        "I6",
        "SELECT 'job ' || jobs.id || ' is held with another token than its attempt'
            FROM jobs JOIN attempts ON attempts.job = jobs.id AND attempts.outcome IS NULL
            WHERE jobs.token IS NOT attempts.token",
    ),
];

pub(super) const INTEGRITY: &str =
    "SELECT integrity_check FROM pragma_integrity_check WHERE integrity_check <> 'ok'";
pub(super) const REFERENCES: &str =
    "SELECT 'broken reference in ' || \"table\" FROM pragma_foreign_key_check";

impl Store {
    /// What breaks the invariants I1 to I4, I6 and I7, the audit chain included; nothing when
    /// all is well. Reads the whole database.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn violations(&self) -> Result<Vec<Violation>> {
        let mut violations = Vec::new();
        for (invariant, query) in QUERIES
            .iter()
            .chain(&[("I7", INTEGRITY), ("I7", REFERENCES)])
        {
            for message in texts(&self.connection, query)? {
                violations.push(Violation { invariant, message });
            }
        }
        if let Some(broken) = self.verify_audit(None)?.broken {
            violations.push(Violation {
                invariant: "I4",
                message: broken.to_string(),
            });
        }
        Ok(violations)
    }
}

pub(super) fn texts(connection: &Connection, query: &str) -> Result<Vec<String>> {
    let mut statement = connection.prepare(query)?;
    let rows = statement.query_map([], |row| row.get(0))?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}
