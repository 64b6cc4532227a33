//! Facts and host keys of nodes.

use std::fmt;
use std::str::FromStr;

use super::super::sql::{Connection, OptionalExtension, params};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::super::Store;
use super::super::audit::{NewEntry, append};
use super::super::convert::{corrupt, get, moment, parsed};
use super::super::error::Result;
use super::machine::{Mark, first_with};
use crate::core::audit::AuditAction;
use crate::core::facts::NodeFacts;
use crate::core::id::ResourceId;
use crate::core::job::{UnknownWord, words};
use crate::core::recorded::JobId;
use crate::crash_point::reach;

words! {
    /// How a host key came into the record.
    HostKeySource, "host key source" {
        /// Accepted at the first contact.
        Enrolled = "enrolled",
        /// Written in the node's document.
        Document = "document",
    }
}

/// A pinned public key of a node's SSH server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, schemars::JsonSchema)]
pub struct HostKey {
    /// For example `ssh-ed25519 AAAA…`.
    pub key: String,
    pub source: HostKeySource,
    pub enrolled_at: Timestamp,
}

impl Store {
    /// The recorded facts of the node `node`, or none.
    ///
    /// # Errors
    /// When the database fails or holds facts that cannot be read.
    pub fn node_facts(&self, node: &str) -> Result<Option<NodeFacts>> {
        let text: Option<String> = self
            .connection
            .prepare_cached("SELECT json FROM node_facts WHERE node = ?1")?
            .query_row([node], |row| row.get(0))
            .optional()?;
        text.map(|text| serde_json::from_str(&text).map_err(corrupt))
            .transpose()
    }

    /// The pinned host keys of the node `node`.
    ///
    /// # Errors
    /// When the database fails or holds a key that cannot be read.
    pub fn host_keys(&self, node: &str) -> Result<Vec<HostKey>> {
        let mut statement = self
            .connection
            .prepare_cached("SELECT * FROM host_keys WHERE node = ?1 ORDER BY key")?;
        let rows = statement.query_and_then([node], |row| {
            Ok(HostKey {
                key: get(row, "key")?,
                source: parsed(row, "source")?,
                enrolled_at: moment(row, "enrolled_at")?,
            })
        })?;
        rows.collect()
    }

    /// Pins exactly `keys` for the node `node`; whether that changed anything.
    ///
    /// # Errors
    /// When the database fails.
    pub fn set_host_keys(
        &mut self,
        node: &str,
        keys: &[String],
        source: HostKeySource,
        actor: &str,
        now: Timestamp,
    ) -> Result<bool> {
        self.write(|tx| pin(tx, node, keys, source, actor, now))
    }

    /// Pins the key that a job's attempt was shown by a node that had none. When another node had it before, that is
    /// returned and nothing is pinned: both are one machine.
    ///
    /// # Errors
    /// [`StoreError::Stale`](super::super::StoreError::Stale) when the job is no longer held with
    /// `token`: somebody else may know the node better by now.
    pub fn enroll_host_key(
        &mut self,
        (job, token): (JobId, u64),
        node: &str,
        key: &str,
        actor: &str,
        now: Timestamp,
    ) -> Result<Option<String>> {
        let keys = [key.to_owned()];
        self.fenced(job, token, "host key", now, |tx| {
            let first = first_with(tx, node, Mark::HostKey(key))?;
            if first.is_none() {
                pin(tx, node, &keys, HostKeySource::Enrolled, actor, now)?;
            }
            Ok(first)
        })
    }
}

/// Pins exactly `keys` for a node; whether that changed anything.
fn pin(
    tx: &Connection,
    node: &str,
    keys: &[String],
    source: HostKeySource,
    actor: &str,
    now: Timestamp,
) -> Result<bool> {
    let mut wanted = keys.to_vec();
    wanted.sort();
    wanted.dedup();
    let before: Vec<String> = tx
        .prepare_cached("SELECT key FROM host_keys WHERE node = ?1 ORDER BY key")?
        .query_map([node], |row| row.get(0))?
        .collect::<super::super::sql::Result<_>>()?;
    if before == wanted {
        return Ok(false);
    }
    tx.prepare_cached("DELETE FROM host_keys WHERE node = ?1")?
        .execute([node])?;
    reach("host-keys: old ones removed");
    for key in &wanted {
        tx.prepare_cached(
            "INSERT INTO host_keys (node, key, source, enrolled_at) VALUES (?1, ?2, ?3, ?4)",
        )?
        .execute(params![node, key, source.as_str(), now.as_microsecond()])?;
        reach("host-keys: one kept");
    }
    let resource = ResourceId::Node(node.to_owned());
    let entry = NewEntry {
        actor,
        action: AuditAction::HostKeyRecorded,
        resource: Some(&resource),
        job: None,
        detail: json!({ "source": source, "before": before, "after": wanted }),
    };
    append(tx, now, &entry)?;
    Ok(true)
}

/// Records facts; an audit entry is made only where they differ from what was recorded.
pub(in crate::store) fn record(
    tx: &Connection,
    node: &str,
    facts: &NodeFacts,
    job: Option<JobId>,
    actor: &str,
    now: Timestamp,
) -> Result<()> {
    let text = serde_json::to_string(facts).map_err(corrupt)?;
    let changed = tx
        .prepare_cached(
            "INSERT INTO node_facts (node, json, at) VALUES (?1, ?2, ?3)
             ON CONFLICT (node) DO UPDATE SET json = excluded.json, at = excluded.at
             WHERE json <> excluded.json",
        )?
        .execute(params![node, text, now.as_microsecond()])?;
    if changed == 0 {
        return Ok(());
    }
    reach("facts: kept");
    let resource = ResourceId::Node(node.to_owned());
    let entry = NewEntry {
        actor,
        action: AuditAction::FactsRecorded,
        resource: Some(&resource),
        job,
        detail: json!({ "digest": blake3::hash(text.as_bytes()).to_hex().as_str() }),
    };
    append(tx, now, &entry)
}
