//! Nodes that do not answer: their jobs wait for them, and cost nobody anything meanwhile.

use super::super::sql::{Connection, params};
use jiff::Timestamp;
use serde_json::json;

use super::super::Store;
use super::super::audit::{NewEntry, append};
use super::super::convert::{get, moment};
use super::super::error::Result;
use super::job::Job;
use crate::core::audit::AuditAction;
use crate::core::id::ResourceId;
use crate::core::recorded::ResourceStatus;
use crate::crash_point::reach;

/// A node that jobs wait for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnreachableNode {
    pub node: String,
    /// Where it is looked for.
    pub host: String,
    pub port: u16,
    pub since: Timestamp,
    /// How many jobs in a row did not get through to it.
    pub attempts: u32,
    /// Whether it has answered a probe since the last of them: its jobs may run.
    pub answers: bool,
    pub next_probe_at: Timestamp,
}

impl Store {
    /// The nodes that no job has reached since one could not, in the order of their next probes.
    ///
    /// # Errors
    /// When the database fails.
    pub fn unreachable_nodes(&self) -> Result<Vec<UnreachableNode>> {
        self.connection
            .prepare_cached("SELECT * FROM unreachable_nodes ORDER BY next_probe_at, node")?
            .query_and_then([], |row| {
                Ok(UnreachableNode {
                    node: get(row, "node")?,
                    host: get(row, "host")?,
                    port: get(row, "port")?,
                    since: moment(row, "since")?,
                    attempts: get(row, "attempts")?,
                    answers: get(row, "answers")?,
                    next_probe_at: moment(row, "next_probe_at")?,
                })
            })?
            .collect()
    }

    /// Notes that a node did not answer, and when to ask it again.
    ///
    /// # Errors
    /// When the database fails.
    pub fn probe_failed(&mut self, node: &str, next_probe_at: Timestamp) -> Result<()> {
        self.write(|tx| {
            tx.prepare_cached("UPDATE unreachable_nodes SET next_probe_at = ?2 WHERE node = ?1")?
                .execute(params![node, next_probe_at.as_microsecond()])?;
            reach("probe: noted");
            Ok(())
        })
    }

    /// Lets the jobs of a node run because it answers. Whether they had waited for that.
    ///
    /// # Errors
    /// When the database fails.
    pub fn node_answers(&mut self, node: &str, actor: &str, now: Timestamp) -> Result<bool> {
        self.write(|tx| wake(tx, node, actor, now))
    }
}

/// Makes the jobs of the job's node wait until it answers at `address`.
pub(super) fn park(
    tx: &Connection,
    job: &Job,
    address: (&str, u16),
    next_probe_at: Timestamp,
    actor: &str,
    now: Timestamp,
) -> Result<()> {
    let (host, port) = address;
    tx.prepare_cached(
        "INSERT INTO unreachable_nodes (node, host, port, since, attempts, answers, next_probe_at)
         VALUES (?1, ?2, ?3, ?4, 1, 0, ?5)
         ON CONFLICT (node) DO UPDATE SET host = excluded.host, port = excluded.port,
             attempts = attempts + 1, answers = 0, next_probe_at = excluded.next_probe_at",
    )?
    .execute(params![
        job.node_id,
        host,
        port,
        now.as_microsecond(),
        next_probe_at.as_microsecond()
    ])?;
    reach("park: noted");
    let (active, unreachable) = (ResourceStatus::Active, ResourceStatus::Unreachable);
    move_status(tx, &job.node_id, active, unreachable, now)?;
    let node = ResourceId::Node(job.node_id.clone());
    let entry = NewEntry {
        actor,
        action: AuditAction::NodeUnreachable,
        resource: Some(&node),
        job: Some(job.id),
        detail: json!({ "host": host, "port": port }),
    };
    append(tx, now, &entry)
}

/// Lets the jobs of a node run, if they wait for it. Its row stays until one of them has got
/// through, so that a node which answers probes and nothing else is asked less and less often.
pub(super) fn wake(tx: &Connection, node: &str, actor: &str, now: Timestamp) -> Result<bool> {
    let woken = tx
        .prepare_cached("UPDATE unreachable_nodes SET answers = 1 WHERE node = ?1 AND answers = 0")?
        .execute([node])?;
    reach("wake: noted");
    if woken == 0 {
        return Ok(false);
    }
    let (unreachable, active) = (ResourceStatus::Unreachable, ResourceStatus::Active);
    move_status(tx, node, unreachable, active, now)?;
    let id = ResourceId::Node(node.to_owned());
    let entry = NewEntry {
        actor,
        action: AuditAction::NodeReachable,
        resource: Some(&id),
        job: None,
        detail: json!({}),
    };
    append(tx, now, &entry)?;
    Ok(true)
}

/// A job has got through to the node.
pub(super) fn forget(tx: &Connection, node: &str) -> Result<()> {
    tx.prepare_cached("DELETE FROM unreachable_nodes WHERE node = ?1 AND answers = 1")?
        .execute([node])?;
    reach("park: forgotten");
    Ok(())
}

/// A status that a job gave the node is the job's.
fn move_status(
    tx: &Connection,
    node: &str,
    from: ResourceStatus,
    to: ResourceStatus,
    now: Timestamp,
) -> Result<()> {
    tx.prepare_cached(
        "UPDATE resources SET status = ?3, updated_at = ?4 WHERE id = ?1 AND status = ?2",
    )?
    .execute(params![
        ResourceId::Node(node.to_owned()).to_string(),
        from.as_str(),
        to.as_str(),
        now.as_microsecond()
    ])?;
    Ok(())
}
