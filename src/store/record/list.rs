//! Pages of what is recorded: each begins where the one before ended, on an index.

use super::super::sql::params;
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::Serialize;

use super::super::convert::{moment, parsed};
use super::super::error::Result;
use super::super::{Revision, Store};
use super::{resource, revision};
use crate::core::id::{ResourceId, ResourceKind};
use crate::core::recorded::RecordedResource;

/// A revision and when it was first seen here.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Seen {
    #[serde(flatten)]
    pub revision: Revision,
    pub first_seen_at: Timestamp,
}

impl Store {
    /// Resources of one kind whose id comes after `after`, by id, at most `limit`.
    ///
    /// # Errors
    /// When the database fails or holds a resource that cannot be read.
    pub fn resources_after(
        &self,
        kind: ResourceKind,
        after: &str,
        limit: u32,
    ) -> Result<Vec<RecordedResource>> {
        let mut statement = self.connection.prepare_cached(
            "SELECT * FROM resources WHERE kind = ?1 AND id > ?2 ORDER BY id LIMIT ?3",
        )?;
        let rows =
            statement.query_and_then(params![kind.as_str(), after, limit], resource::resource)?;
        rows.collect()
    }

    /// The environments of a site whose id comes after `after`, by id, at most `limit`.
    ///
    /// # Errors
    /// When the database fails or holds a resource that cannot be read.
    pub fn environments_of(
        &self,
        site: &str,
        after: &str,
        limit: u32,
    ) -> Result<Vec<RecordedResource>> {
        // `0` follows `/`, so this is what starts with `env/SITE/`.
        let (first, end) = (format!("env/{site}/"), format!("env/{site}0"));
        let mut statement = self.connection.prepare_cached(
            "SELECT * FROM resources WHERE id > ?1 AND id < ?2 ORDER BY id LIMIT ?3",
        )?;
        let first = if after > first.as_str() {
            after
        } else {
            &first
        };
        let rows = statement.query_and_then(params![first, end, limit], resource::resource)?;
        rows.collect()
    }

    /// The environments that are recorded on a node, by id.
    ///
    /// # Errors
    /// When the database fails or holds an id that cannot be read.
    pub fn environments_on_node(&self, node: &str) -> Result<Vec<ResourceId>> {
        let mut statement = self.connection.prepare_cached(
            "SELECT id FROM resources WHERE node = ?1 AND kind = 'env' ORDER BY id",
        )?;
        let rows = statement.query_and_then([node], |row| parsed(row, "id"))?;
        rows.collect()
    }

    /// Whether a resource is recorded.
    ///
    /// # Errors
    /// When the database fails.
    pub fn is_recorded(&self, id: &ResourceId) -> Result<bool> {
        Ok(self
            .connection
            .prepare_cached("SELECT 1 FROM resources WHERE id = ?1")?
            .exists([id.to_string()])?)
    }

    /// Revisions, the one seen last first, before the one that was seen then and has this id.
    ///
    /// # Errors
    /// When the database fails or holds a revision that cannot be read.
    pub fn revisions(&self, before: Option<(Timestamp, &str)>, limit: u32) -> Result<Vec<Seen>> {
        let (at, id) = before.map_or((i64::MAX, ""), |(at, id)| (at.as_microsecond(), id));
        let mut statement = self.connection.prepare_cached(
            "SELECT * FROM revisions WHERE (first_seen_at, id) < (?1, ?2)
             ORDER BY first_seen_at DESC, id DESC LIMIT ?3",
        )?;
        let rows = statement.query_and_then(params![at, id, limit], |row| {
            Ok(Seen {
                revision: revision::read(row)?,
                first_seen_at: moment(row, "first_seen_at")?,
            })
        })?;
        rows.collect()
    }

    /// The jobs that were planned from a revision, the newest first, at most `limit`.
    ///
    /// # Errors
    /// When the database fails.
    pub fn jobs_of_revision(&self, revision: &str, limit: u32) -> Result<Vec<super::super::Job>> {
        let mut statement = self.connection.prepare_cached(
            "SELECT jobs.* FROM plans JOIN jobs ON jobs.plan_id = plans.id
             WHERE plans.revision = ?1 ORDER BY jobs.sequence DESC LIMIT ?2",
        )?;
        let rows =
            statement.query_and_then(params![revision, limit], super::super::queue::job::read)?;
        rows.collect()
    }
}
