//! Recorded resources: reading them for a diff or in full, and every way to change them.

use super::super::sql::ValueRef;
use super::super::sql::{Connection, OptionalExtension, Row, params};
use jiff::Timestamp;
use serde_json::{Value, json};

use super::super::audit::{NewEntry, append};
use super::super::convert::{corrupt, digest, get, moment, parse, parsed, unsigned};
use super::super::error::{Result, StoreError};
use super::super::{Domain, Release, Store};
use super::{artifact, drift, fact};
use crate::core::audit::AuditAction;
use crate::core::change::SpecPatch;
use crate::core::drift::Differences;
use crate::core::facts::NodeFacts;
use crate::core::fingerprint::{self, Fingerprints};
use crate::core::id::{ResourceId, ResourceKind};
use crate::core::leaf::leaves;
use crate::core::recorded::{
    JobId, PlanId, RecordedHead, RecordedResource, ResourceStatus, Source,
};
use crate::core::spec::{Spec, SpecHash};
use crate::crash_point::reach;

/// What becomes of the record of one resource: all that the patch does not name stays.
#[derive(Clone, Debug, PartialEq)]
pub struct RecordPatch {
    pub id: ResourceId,
    pub patch: SpecPatch,
    /// What the files are made of besides the spec; an empty one takes out what is recorded.
    pub fingerprints: Fingerprints,
    /// None leaves it as it is: only a job makes something active. What is new is active.
    pub status: Option<ResourceStatus>,
    /// The node that a site or an environment is on; none leaves it as it is.
    pub node: Option<String>,
    /// The id of a saved revision.
    pub revision: String,
    /// None leaves it as it is.
    pub source: Option<Source>,
}

/// One change of what is recorded.
#[derive(Clone, Debug)]
pub enum StateChange {
    /// Records what is new of the resource; its generation grows when the spec or a secret is another one.
    Patch(Box<RecordPatch>),
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
pub(in crate::store) struct Author {
    pub(in crate::store) plan: Option<PlanId>,
    pub(in crate::store) job: Option<JobId>,
}

impl Store {
    /// What a diff needs of every recorded resource, sorted by id.
    ///
    /// # Errors
    /// When the database fails or holds a resource that cannot be read.
    pub fn recorded_heads(&self) -> Result<Vec<(ResourceId, RecordedHead)>> {
        let mut statement = self.connection.prepare_cached(
            "SELECT id, spec_hash, generation, status, protect, fingerprints
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
            let nobody = Author {
                plan: None,
                job: None,
            };
            let applied = apply(tx, changes, nobody, actor, now)?;
            reach("record: applied");
            let detail = json!({ "reason": reason, "changes": applied });
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
pub(in crate::store) fn generation(tx: &Connection, id: &str) -> Result<(u64, Option<String>)> {
    let row = tx
        .prepare_cached("SELECT generation, plan_id FROM resources WHERE id = ?1")?
        .query_row([id], |row| Ok((row.get::<_, i64>(0)?, row.get(1)?)))
        .optional()?;
    Ok(row.map_or((0, None), |(generation, plan)| {
        (generation.unsigned_abs(), plan)
    }))
}

pub(in crate::store) fn check_generations(
    tx: &Connection,
    expected: &[(ResourceId, u64)],
) -> Result<()> {
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

/// Writes `changes`; what was touched, without the specs, for the audit entry of the caller.
pub(in crate::store) fn apply(
    tx: &Connection,
    changes: &[StateChange],
    author: Author,
    actor: &str,
    now: Timestamp,
) -> Result<Vec<Value>> {
    let mut applied = Vec::with_capacity(changes.len());
    for change in changes {
        reach("record: next change");
        applied.push(apply_one(tx, change, author, actor, now)?);
    }
    Ok(applied)
}

fn apply_one(
    tx: &Connection,
    change: &StateChange,
    author: Author,
    actor: &str,
    now: Timestamp,
) -> Result<Value> {
    Ok(match change {
        StateChange::Patch(record) => {
            let hash = put(tx, record, author, now)?;
            json!({
                "put": record.id, "status": record.status, "revision": record.revision,
                "spec_hash": hash.to_hex(),
            })
        }
        StateChange::Status { id, status } => {
            set_status(tx, &id.to_string(), *status, now)?;
            json!({ "status": status, "of": id })
        }
        StateChange::Remove(id) => {
            tx.prepare_cached("DELETE FROM resources WHERE id = ?1")?
                .execute([id.to_string()])?;
            tx.prepare_cached("DELETE FROM looks WHERE resource = ?1")?
                .execute([id.to_string()])?;
            json!({ "remove": id })
        }
        StateChange::Facts { node, facts } => {
            fact::record(tx, node, facts, author.job, actor, now)?;
            json!({ "facts": node })
        }
        StateChange::Release(release) => {
            artifact::put_release(tx, release, author.job, now)?;
            json!({ "release": release.name, "of": release.environment })
        }
        StateChange::Domain(domain) => {
            artifact::put_domain(tx, domain, now)?;
            json!({ "domain": domain.name, "of": domain.environment })
        }
        StateChange::RemoveDomain(name) => {
            tx.prepare_cached("DELETE FROM domains WHERE name = ?1")?
                .execute([name])?;
            json!({ "remove_domain": name })
        }
        StateChange::Looked { id, found } => {
            drift::found(tx, id, found, author.job, now)?;
            json!({ "drift": found.tasks, "of": id })
        }
        StateChange::Converged(id) => {
            drift::converged(tx, id, author.job, now)?;
            json!({ "converged": id })
        }
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
            json!({ "token": token, "field": field, "of": resource })
        }
    })
}

/// Sets the status of a resource if it is recorded.
pub(in crate::store) fn set_status(
    tx: &Connection,
    id: &str,
    status: ResourceStatus,
    now: Timestamp,
) -> Result<()> {
    tx.prepare_cached("UPDATE resources SET status = ?2, updated_at = ?3 WHERE id = ?1")?
        .execute(params![id, status.as_str(), now.as_microsecond()])?;
    Ok(())
}

/// Applies a patch to what is recorded at this moment; the hash of what that makes.
fn put(tx: &Connection, record: &RecordPatch, author: Author, now: Timestamp) -> Result<SpecHash> {
    let id = record.id.to_string();
    let (before, mut fingerprints) = form(tx, &id)?.unwrap_or_default();
    let spec = record.patch.apply(&before);
    fingerprints.extend(record.fingerprints.clone());
    if !fingerprints.is_empty() {
        let leaves = leaves(spec.fields());
        fingerprints.retain(|name, digest| {
            let path = fingerprint::path(name);
            let of_a_leaf = || {
                leaves
                    .binary_search_by(|(known, _)| known.cmp(&path))
                    .is_ok()
            };
            !digest.is_empty() && (fingerprint::is_template(name) || of_a_leaf())
        });
    }
    let fingerprints = (!fingerprints.is_empty()).then(|| json!(fingerprints).to_string());
    let is_set = |field: &str| spec.get(field).and_then(Value::as_bool) == Some(true);
    let drift_mode = match record.id {
        ResourceId::Fleet => spec.str("reconcile.drift"),
        _ => spec.str("drift"),
    };
    let canonical = spec.canonical();
    let hash = SpecHash::of_canonical(canonical.as_bytes());
    let source = record.source.as_ref();
    // What is asked of many resources at once has a column beside the spec.
    tx.prepare_cached(
        "INSERT INTO resources (id, kind, spec_hash, generation, status, protect,
             fingerprints, node, revision, source_file, source_line, plan_id,
             created_at, updated_at, spec, suspended, drift_mode, health_schedule)
         VALUES (?1, ?2, ?3, 1, coalesce(?4, 'active'), ?5, ?6, ?7, ?8, coalesce(?9, ''),
             coalesce(?10, 0), ?11, ?12, ?12, ?13, ?14, ?15, ?16)
         ON CONFLICT (id) DO UPDATE SET
             generation = CASE WHEN spec_hash <> excluded.spec_hash
                 OR fingerprints IS DISTINCT FROM excluded.fingerprints
                 THEN generation + 1 ELSE generation END,
             plan_id = CASE WHEN spec_hash <> excluded.spec_hash
                 OR fingerprints IS DISTINCT FROM excluded.fingerprints
                 THEN excluded.plan_id ELSE plan_id END,
             spec_hash = excluded.spec_hash, status = coalesce(?4, status),
             protect = excluded.protect, fingerprints = excluded.fingerprints,
             node = coalesce(?7, node), revision = excluded.revision,
             source_file = coalesce(?9, source_file), source_line = coalesce(?10, source_line),
             updated_at = excluded.updated_at, spec = excluded.spec,
             suspended = excluded.suspended, drift_mode = excluded.drift_mode,
             health_schedule = excluded.health_schedule",
    )?
    .execute(params![
        id,
        record.id.kind().as_str(),
        hash.0,
        record.status.map(ResourceStatus::as_str),
        is_set("protect"),
        fingerprints,
        record.node,
        record.revision,
        source.map(|source| &source.file),
        source.map(|source| source.line),
        author.plan.map(|plan| plan.to_string()),
        now.as_microsecond(),
        canonical,
        is_set("suspend"),
        drift_mode,
        spec.str("health.schedule"),
    ])?;
    Ok(hash)
}

/// The spec that is recorded, and what else the files are made of.
fn form(tx: &Connection, id: &str) -> Result<Option<(Spec, Fingerprints)>> {
    tx.prepare_cached("SELECT spec, fingerprints FROM resources WHERE id = ?1")?
        .query_and_then([id], |row| {
            let spec: String = get(row, "spec")?;
            let spec = serde_json::from_str(&spec).map_err(corrupt)?;
            Ok((spec, fingerprints(row)?))
        })?
        .next()
        .transpose()
}

fn fingerprints(row: &Row<'_>) -> Result<Fingerprints> {
    match get::<Option<String>>(row, "fingerprints")? {
        None => Ok(Fingerprints::new()),
        Some(text) => serde_json::from_str(&text).map_err(corrupt),
    }
}

/// By position: this runs once for each resource of the fleet in every plan.
fn head(row: &Row<'_>) -> Result<(ResourceId, RecordedHead)> {
    let text = |index: usize| -> Result<&str> { row.get_ref(index)?.as_str().map_err(corrupt) };
    let hash = row.get_ref(1)?.as_blob().map_err(corrupt)?;
    let fingerprints = match row.get_ref(5)? {
        ValueRef::Null => Fingerprints::new(),
        value => serde_json::from_str(value.as_str().map_err(corrupt)?).map_err(corrupt)?,
    };
    let head = RecordedHead {
        spec_hash: SpecHash(hash.try_into().map_err(corrupt)?),
        generation: row.get::<_, i64>(2)?.unsigned_abs(),
        status: parse(text(3)?)?,
        protect: row.get(4)?,
        fingerprints,
    };
    Ok((parse(text(0)?)?, head))
}

pub(in crate::store) fn resource(row: &Row<'_>) -> Result<RecordedResource> {
    let spec: String = get(row, "spec")?;
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
        fingerprints: fingerprints(row)?,
        protect: get(row, "protect")?,
        created_at: moment(row, "created_at")?,
        updated_at: moment(row, "updated_at")?,
    })
}
