//! Revisions of the fleet repo that something was planned or recorded from.

use super::super::sql::{Connection, OptionalExtension, Row, params};
use jiff::Timestamp;
use serde::Serialize;

use super::super::Store;
use super::super::convert::{get, moment_option};
use super::super::error::Result;
use crate::crash_point::reach;

/// One commit of the fleet repo, or one state of a dirty working tree.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, schemars::JsonSchema)]
pub struct Revision {
    /// The commit, or `dirty:` and a digest of the files.
    pub id: String,
    pub author: Option<String>,
    pub message: Option<String>,
    pub committed_at: Option<Timestamp>,
    pub dirty: bool,
}

impl Store {
    /// Keeps `revision`; one that is known already stays as it is.
    ///
    /// # Errors
    /// When the database fails.
    pub fn save_revision(&mut self, revision: &Revision, now: Timestamp) -> Result<()> {
        self.write(|tx| save(tx, revision, now))
    }

    /// The revision with this id, or none.
    ///
    /// # Errors
    /// When the database fails.
    pub fn revision(&self, id: &str) -> Result<Option<Revision>> {
        let row = self
            .connection
            .prepare_cached("SELECT * FROM revisions WHERE id = ?1")?
            .query_row([id], |row| Ok(read(row)))
            .optional()?;
        row.transpose()
    }
}

pub(in crate::store) fn save(tx: &Connection, revision: &Revision, now: Timestamp) -> Result<()> {
    tx.prepare_cached(
        "INSERT INTO revisions (id, author, message, committed_at, dirty, first_seen_at)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6) ON CONFLICT (id) DO NOTHING",
    )?
    .execute(params![
        revision.id,
        revision.author,
        revision.message,
        revision.committed_at.map(Timestamp::as_microsecond),
        revision.dirty,
        now.as_microsecond(),
    ])?;
    reach("revision: kept");
    Ok(())
}

pub(in crate::store) fn read(row: &Row<'_>) -> Result<Revision> {
    Ok(Revision {
        id: get(row, "id")?,
        author: get(row, "author")?,
        message: get(row, "message")?,
        committed_at: moment_option(row, "committed_at")?,
        dirty: get(row, "dirty")?,
    })
}
