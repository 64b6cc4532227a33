//! Recorded resources: reading them for a diff or in full, and every way to change them.

use std::collections::BTreeMap;

use jiff::Timestamp;
use rusqlite::types::ValueRef;
use rusqlite::{Connection, OptionalExtension, Row, params};
use serde_json::json;

use super::audit::{NewEntry, append};
use super::convert::{corrupt, digest, get, moment, parse, parsed, unsigned};
use super::error::{Result, StoreError};
use super::{Domain, Release, Store, artifact, drift, fact};
use crate::core::audit::AuditAction;
use crate::core::drift::Differences;
use crate::core::facts::NodeFacts;
use crate::core::id::{ResourceId, ResourceKind};
use crate::core::recorded::{
    JobId, PlanId, RecordedHead, RecordedResource, ResourceStatus, Source,
};
use crate::core::spec::{Spec, SpecHash};
use crate::crash_point::reach;

/// A resource as it is to be recorded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewRecord {
    pub id: ResourceId,
    pub spec: Spec,
    /// None leaves it as it is: only a job makes something active. What is new is active.
    pub status: Option<ResourceStatus>,
    pub node: Option<String>,
    /// The id of a saved revision.
    pub revision: String,
    pub source: Source,
    pub secret_fingerprints: BTreeMap<String, String>,
    pub protect: bool,
}

/// One change of what is recorded.
#[derive(Clone, Debug)]
pub enum StateChange {
    /// Records the resource; its generation grows when the spec or a secret is another one.
    Put(Box<NewRecord>),
    /// Changes the status of a resource if it is recorded.
    Status {
        id: ResourceId,
        status: ResourceStatus,
    },
    Remove(ResourceId),
    Facts {
        node: String,
        facts: Box<NodeFacts>,
    },
    /// Records a release; an active one takes the place of the one before it.
    Release(Release),
    Domain(Domain),
    RemoveDomain(String),
    /// What a look at a resource on its node found.
    Looked {
        id: ResourceId,
        found: Differences,
    },
    /// A job made the resource what it should be, but for what only people put back.
    Converged(ResourceId),
    /// A one-shot ran and never runs again.
    UsedToken {
        resource: ResourceId,
        field: String,
        token: String,
    },
}

/// Who changes the state: a job of a plan, or nobody but the record itself.
#[derive(Clone, Copy)]
pub(super) struct Author {
    pub(super) plan: Option<PlanId>,
    pub(super) job: Option<JobId>,
}

impl Store {
    /// What a diff needs of every recorded resource, sorted by id.
    ///
    /// # Errors
    /// When the database fails or holds a resource that cannot be read.
    pub fn recorded_heads(&self) -> Result<Vec<(ResourceId, RecordedHead)>> {
        let mut statement = self.connection.prepare_cached(
            "SELECT id, spec_hash, generation, status, protect, secret_fingerprints
             FROM resources INDEXED BY resources_heads",
        )?;
        let mut rows = statement.query([])?;
        let mut heads = Vec::new();
        while let Some(row) = rows.next()? {
            heads.push(head(row)?);
        }
        heads.sort_by(|(left, _), (right, _)| left.cmp(right));
        Ok(heads)
    }

    /// Everything that is recorded of one resource, or none.
    ///
    /// # Errors
    /// When the database fails or holds a resource that cannot be read.
    pub fn recorded(&self, id: &ResourceId) -> Result<Option<RecordedResource>> {
        let row = self
            .connection
            .prepare_cached("SELECT * FROM resources WHERE id = ?1")?
            .query_row([id.to_string()], |row| Ok(resource(row)))
            .optional()?;
        row.transpose()
    }

    /// Everything that is recorded of those of `ids` that are recorded, in their order.
    ///
    /// # Errors
    /// When the database fails or holds a resource that cannot be read.
    pub fn recorded_many<'a>(
        &self,
        ids: impl IntoIterator<Item = &'a ResourceId>,
    ) -> Result<Vec<RecordedResource>> {
        ids.into_iter()
            .filter_map(|id| self.recorded(id).transpose())
            .collect()
    }

    /// Everything that is recorded of one kind, sorted by id.
    ///
    /// # Errors
    /// When the database fails or holds a resource that cannot be read.
    pub fn recorded_of_kind(&self, kind: ResourceKind) -> Result<Vec<RecordedResource>> {
        let mut statement = self
            .connection
            .prepare_cached("SELECT * FROM resources WHERE kind = ?1")?;
        let rows = statement.query_and_then([kind.as_str()], resource)?;
        let mut resources = rows.collect::<Result<Vec<_>>>()?;
        resources.sort_by(|left, right| left.id.cmp(&right.id));
        Ok(resources)
    }

    /// Changes the record without a job (for example where a document moved to another line),
    /// provided that the resources of `expected` still have these generations (0: not recorded).
    ///
    /// # Errors
    /// [`StoreError::StalePlan`] with the resources that moved; then nothing is written.
    pub fn set_recorded(
        &mut self,
        changes: &[StateChange],
        expected: &[(ResourceId, u64)],
        reason: &str,
        actor: &str,
        now: Timestamp,
    ) -> Result<()> {
        self.write(|tx| {
            check_generations(tx, expected)?;
            reach("record: begun");
            if changes.is_empty() {
                return Ok(());
            }
            apply(
                tx,
                changes,
                Author {
                    plan: None,
                    job: None,
                },
                actor,
                now,
            )?;
            reach("record: applied");
            let detail = json!({ "reason": reason, "changes": summary(changes) });
            let action = AuditAction::StateRecorded;
            append(
                tx,
                now,
                &NewEntry {
                    actor,
                    action,
                    resource: None,
                    job: None,
                    detail,
                },
            )
        })
    }

    /// Records that a resource, which was failed, is active, because `checked` was found healthy;
    /// whether it did. It is left as it is when a job of one of the two has begun and not ended, or
    /// has not succeeded since `since`: then what was found says nothing about what it is now.
    ///
    /// # Errors
    /// When the database fails.
    pub fn reset(
        &mut self,
        id: &ResourceId,
        checked: &ResourceId,
        since: Timestamp,
        actor: &str,
        now: Timestamp,
    ) -> Result<bool> {
        self.write(|tx| {
            let is_settled = tx
                .prepare_cached(
                    "SELECT 1 FROM resources WHERE id = ?1 AND status IN ('failed', 'active')",
                )?
                .exists([id.to_string()])?;
            let mut moved = tx.prepare_cached(
                "SELECT 1 FROM jobs INDEXED BY jobs_by_resource
                 WHERE resource = ?1 AND started_at IS NOT NULL
                   AND (status IN ('queued', 'running', 'unknown')
                     OR (status IN ('failed', 'cancelled') AND finished_at >= ?2))",
            )?;
            for id in [id, checked] {
                if !is_settled || moved.exists(params![id.to_string(), since.as_microsecond()])? {
                    return Ok(false);
                }
            }
            set_status(tx, &id.to_string(), ResourceStatus::Active, now)?;
            let reason = format!("reset after a health check of `{checked}`");
            let change = json!({ "status": ResourceStatus::Active, "of": id });
            let entry = NewEntry {
                actor,
                action: AuditAction::StateRecorded,
                resource: Some(id),
                job: None,
                detail: json!({ "reason": reason, "changes": [change] }),
            };
            append(tx, now, &entry)?;
            Ok(true)
        })
    }

    /// Whether the one-shot `token` of `field` ran for this resource.
    ///
    /// # Errors
    /// When the database fails.
    pub fn token_is_used(&self, id: &ResourceId, field: &str, token: &str) -> Result<bool> {
        Ok(self
            .connection
            .prepare_cached(
                "SELECT 1 FROM tokens WHERE resource = ?1 AND field = ?2 AND token = ?3",
            )?
            .exists(params![id.to_string(), field, token])?)
    }
}

/// The generation of a resource and the plan that recorded it; 0 when it is not recorded.
pub(super) fn generation(tx: &Connection, id: &str) -> Result<(u64, Option<String>)> {
    let row = tx
        .prepare_cached("SELECT generation, plan_id FROM resources WHERE id = ?1")?
        .query_row([id], |row| Ok((row.get::<_, i64>(0)?, row.get(1)?)))
        .optional()?;
    Ok(row.map_or((0, None), |(generation, plan)| {
        (generation.unsigned_abs(), plan)
    }))
}

pub(super) fn check_generations(tx: &Connection, expected: &[(ResourceId, u64)]) -> Result<()> {
    let mut moved = Vec::new();
    for (id, wanted) in expected {
        if generation(tx, &id.to_string())?.0 != *wanted {
            moved.push(id.clone());
        }
    }
    if moved.is_empty() {
        Ok(())
    } else {
        Err(StoreError::StalePlan(moved))
    }
}

/// Writes `changes`; the caller audits them.
pub(super) fn apply(
    tx: &Connection,
    changes: &[StateChange],
    author: Author,
    actor: &str,
    now: Timestamp,
) -> Result<()> {
    for change in changes {
        reach("record: next change");
        match change {
            StateChange::Put(record) => put(tx, record, author, now)?,
            StateChange::Status { id, status } => set_status(tx, &id.to_string(), *status, now)?,
            StateChange::Remove(id) => {
                tx.prepare_cached("DELETE FROM resources WHERE id = ?1")?
                    .execute([id.to_string()])?;
            }
            StateChange::Facts { node, facts } => {
                fact::record(tx, node, facts, author.job, actor, now)?;
            }
            StateChange::Release(release) => {
                artifact::put_release(tx, release, author.job, now)?;
            }
            StateChange::Domain(domain) => artifact::put_domain(tx, domain, now)?,
            StateChange::RemoveDomain(name) => {
                tx.prepare_cached("DELETE FROM domains WHERE name = ?1")?
                    .execute([name])?;
            }
            StateChange::Looked { id, found } => drift::found(tx, id, found, author.job, now)?,
            StateChange::Converged(id) => drift::converged(tx, id, author.job, now)?,
            StateChange::UsedToken {
                resource,
                field,
                token,
            } => {
                tx.prepare_cached(
                    "INSERT INTO tokens (resource, field, token, job, used_at)
                     VALUES (?1, ?2, ?3, ?4, ?5) ON CONFLICT DO NOTHING",
                )?
                .execute(params![
                    resource.to_string(),
                    field,
                    token,
                    author.job.map(|job| job.to_string()),
                    now.as_microsecond()
                ])?;
            }
        }
    }
    Ok(())
}

/// The changes for an audit entry: what was touched, without the specs.
pub(super) fn summary(changes: &[StateChange]) -> Vec<serde_json::Value> {
    changes
        .iter()
        .map(|change| match change {
            StateChange::Put(record) => json!({
                "put": record.id, "status": record.status, "revision": record.revision,
                "spec_hash": record.spec.hash().to_hex(),
            }),
            StateChange::Status { id, status } => json!({ "status": status, "of": id }),
            StateChange::Remove(id) => json!({ "remove": id }),
            StateChange::Facts { node, .. } => json!({ "facts": node }),
            StateChange::Release(release) => {
                json!({ "release": release.name, "of": release.environment })
            }
            StateChange::Domain(domain) => {
                json!({ "domain": domain.name, "of": domain.environment })
            }
            StateChange::RemoveDomain(name) => json!({ "remove_domain": name }),
            StateChange::Looked { id, found } => json!({ "drift": found.tasks, "of": id }),
            StateChange::Converged(id) => json!({ "converged": id }),
            StateChange::UsedToken {
                resource,
                field,
                token,
            } => {
                json!({ "token": token, "field": field, "of": resource })
            }
        })
        .collect()
}

/// Sets the status of a resource if it is recorded.
pub(super) fn set_status(
    tx: &Connection,
    id: &str,
    status: ResourceStatus,
    now: Timestamp,
) -> Result<()> {
    tx.prepare_cached("UPDATE resources SET status = ?2, updated_at = ?3 WHERE id = ?1")?
        .execute(params![id, status.as_str(), now.as_microsecond()])?;
    Ok(())
}

fn put(tx: &Connection, record: &NewRecord, author: Author, now: Timestamp) -> Result<()> {
    let fingerprints = (!record.secret_fingerprints.is_empty())
        .then(|| json!(record.secret_fingerprints).to_string());
    let canonical = record.spec.canonical();
    tx.prepare_cached(
        "INSERT INTO resources (id, kind, spec_hash, generation, status, protect,
             secret_fingerprints, node, revision, source_file, source_line, plan_id,
             created_at, updated_at, spec)
         VALUES (?1, ?2, ?3, 1, coalesce(?4, 'active'), ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?12, ?13)
         ON CONFLICT (id) DO UPDATE SET
             generation = generation + (spec_hash <> excluded.spec_hash
                 OR secret_fingerprints IS NOT excluded.secret_fingerprints),
             plan_id = CASE WHEN spec_hash <> excluded.spec_hash
                 OR secret_fingerprints IS NOT excluded.secret_fingerprints
                 THEN excluded.plan_id ELSE plan_id END,
             spec_hash = excluded.spec_hash, status = coalesce(?4, status),
             protect = excluded.protect, secret_fingerprints = excluded.secret_fingerprints,
             node = excluded.node, revision = excluded.revision,
             source_file = excluded.source_file, source_line = excluded.source_line,
             updated_at = excluded.updated_at, spec = excluded.spec",
    )?
    .execute(params![
        record.id.to_string(),
        record.id.kind().as_str(),
        SpecHash::of_canonical(canonical.as_bytes()).0,
        record.status.map(ResourceStatus::as_str),
        record.protect,
        fingerprints,
        record.node,
        record.revision,
        record.source.file,
        record.source.line,
        author.plan.map(|plan| plan.to_string()),
        now.as_microsecond(),
        canonical,
    ])?;
    Ok(())
}

/// By position: this runs once for each resource of the fleet in every plan.
fn head(row: &Row<'_>) -> Result<(ResourceId, RecordedHead)> {
    let text = |index: usize| -> Result<&str> { row.get_ref(index)?.as_str().map_err(corrupt) };
    let hash = row.get_ref(1)?.as_blob().map_err(corrupt)?;
    let fingerprints = match row.get_ref(5)? {
        ValueRef::Null => BTreeMap::new(),
        value => serde_json::from_str(value.as_str().map_err(corrupt)?).map_err(corrupt)?,
    };
    let head = RecordedHead {
        spec_hash: SpecHash(hash.try_into().map_err(corrupt)?),
        generation: row.get::<_, i64>(2)?.unsigned_abs(),
        status: parse(text(3)?)?,
        protect: row.get(4)?,
        secret_fingerprints: fingerprints,
    };
    Ok((parse(text(0)?)?, head))
}

pub(super) fn resource(row: &Row<'_>) -> Result<RecordedResource> {
    let spec: String = get(row, "spec")?;
    let fingerprints: Option<String> = get(row, "secret_fingerprints")?;
    Ok(RecordedResource {
        id: parsed(row, "id")?,
        spec: serde_json::from_str(&spec).map_err(corrupt)?,
        spec_hash: SpecHash(digest(row, "spec_hash")?),
        generation: unsigned(row, "generation")?,
        status: parsed(row, "status")?,
        node: get(row, "node")?,
        revision: get(row, "revision")?,
        source: Source {
            file: get(row, "source_file")?,
            line: get(row, "source_line")?,
        },
        secret_fingerprints: match fingerprints {
            None => BTreeMap::new(),
            Some(text) => serde_json::from_str(&text).map_err(corrupt)?,
        },
        protect: get(row, "protect")?,
        created_at: moment(row, "created_at")?,
        updated_at: moment(row, "updated_at")?,
    })
}
