//! One machine is one node: which other node has the machine id or the host key of this one.

use super::super::sql::{Connection, OptionalExtension, params};
use jiff::Timestamp;

use super::super::Store;
use super::super::convert::get;
use super::super::error::Result;
use super::fact;
use crate::core::facts::NodeFacts;
use crate::core::recorded::JobId;

/// What only one machine has.
#[derive(Clone, Copy, Debug)]
pub(super) enum Mark<'a> {
    MachineId(&'a str),
    HostKey(&'a str),
}

/// Which of two nodes is first: one that is recorded, then the one that was known earlier.
type Rank = (bool, i64, String);

impl Store {
    /// The node that came before `node` and has this host key, or none.
    ///
    /// # Errors
    /// When the database fails.
    pub fn node_with_host_key(&self, node: &str, key: &str) -> Result<Option<String>> {
        first_with(&self.connection, node, Mark::HostKey(key))
    }

    /// The node that came before `node` and has the machine id in `facts`, or none. Then the node has it from now on, and
    /// its facts are recorded if they were those of another machine: of two nodes at their first contact only one goes on.
    ///
    /// # Errors
    /// [`StoreError::Stale`](super::super::StoreError::Stale) when the job is no longer held with `token`.
    pub fn claim_machine(
        &mut self,
        (job, token): (JobId, u64),
        node: &str,
        facts: &NodeFacts,
        actor: &str,
        now: Timestamp,
    ) -> Result<Option<String>> {
        if !facts.has_machine_id() {
            return Ok(None);
        }
        let known = self.node_facts(node)?;
        if known.is_some_and(|known| known.machine_id == facts.machine_id) {
            return first_with(&self.connection, node, Mark::MachineId(&facts.machine_id));
        }
        self.fenced(job, token, "machine", now, |tx| {
            let first = first_with(tx, node, Mark::MachineId(&facts.machine_id))?;
            if first.is_none() {
                fact::record(tx, node, facts, Some(job), actor, now)?;
            }
            Ok(first)
        })
    }
}

/// The node that has a mark before `node` has it, or none. A node of which nothing is recorded and for which no job is
/// there was given up.
pub(super) fn first_with(
    connection: &Connection,
    node: &str,
    mark: Mark<'_>,
) -> Result<Option<String>> {
    let (marks, text) = match mark {
        Mark::MachineId(id) => (
            "SELECT node, at FROM node_facts WHERE json ->> '$.machine_id' = ?1",
            id,
        ),
        Mark::HostKey(key) => (
            "SELECT node, enrolled_at AS at FROM host_keys WHERE key = ?1",
            key,
        ),
    };
    let sql = format!(
        "SELECT marks.node, marks.at, resources.created_at
         FROM ({marks}) AS marks LEFT JOIN resources ON resources.id = 'node/' || marks.node
         WHERE marks.node = ?2 OR resources.id IS NOT NULL OR EXISTS (
             SELECT 1 FROM jobs WHERE jobs.node_id = marks.node
             AND jobs.status IN ('queued', 'running', 'unknown'))"
    );
    let mut statement = connection.prepare_cached(&sql)?;
    let ranks = statement.query_and_then(params![text, node], |row| -> Result<Rank> {
        let name: String = get(row, "node")?;
        let recorded: Option<i64> = get(row, "created_at")?;
        Ok(match recorded {
            Some(at) => (false, at, name),
            None => (true, get(row, "at")?, name),
        })
    })?;
    let ranks = ranks.collect::<Result<Vec<_>>>()?;
    let first = ranks.into_iter().min();
    let Some((is_new, _, name)) = first.filter(|(.., name)| name != node) else {
        return Ok(None);
    };
    // A node that is recorded was there before one that is not, whatever it has told until now.
    let own = connection
        .prepare_cached("SELECT 1 FROM resources WHERE id = 'node/' || ?1")?
        .query_row([node], |_| Ok(()))
        .optional()?;
    Ok(Some(name).filter(|_| own.is_none() || !is_new))
}
