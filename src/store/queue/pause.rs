//! A paused database: everything can be looked at and nothing runs, until somebody says so.

use super::super::sql::{Connection, OptionalExtension, params};
use jiff::Timestamp;
use serde::Serialize;
use serde_json::json;

use super::super::Store;
use super::super::audit::{NewEntry, append};
use super::super::convert::{get, moment};
use super::super::error::{Result, StoreError};
use crate::core::audit::AuditAction;

/// Why nothing runs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, schemars::JsonSchema)]
pub struct Pause {
    pub since: Timestamp,
    pub reason: String,
}

impl Store {
    /// Why and since when nothing runs, or none.
    ///
    /// # Errors
    /// When the database fails.
    pub fn pause(&self) -> Result<Option<Pause>> {
        find(&self.connection)
    }

    /// Refuses when the database is paused.
    ///
    /// # Errors
    /// [`StoreError::Paused`].
    pub fn require_not_paused(&self) -> Result<()> {
        refuse(&self.connection)
    }

    /// Lets jobs run again; what had stopped them, or none when nothing did.
    ///
    /// # Errors
    /// When the database fails.
    pub fn resume(&mut self, actor: &str, now: Timestamp) -> Result<Option<Pause>> {
        self.write(|tx| {
            let pause = find(tx)?;
            if let Some(pause) = &pause {
                tx.execute("DELETE FROM pause", [])?;
                let entry = NewEntry {
                    actor,
                    action: AuditAction::DatabaseResumed,
                    resource: None,
                    job: None,
                    detail: json!({ "reason": pause.reason, "since": pause.since }),
                };
                append(tx, now, &entry)?;
            }
            Ok(pause)
        })
    }
}

/// Lets nothing run from now on.
pub(in crate::store) fn set(tx: &Connection, reason: &str, now: Timestamp) -> Result<()> {
    tx.execute(
        "INSERT INTO pause (only, since, reason) VALUES (1, ?1, ?2)
         ON CONFLICT (only) DO UPDATE SET since = excluded.since, reason = excluded.reason",
        params![now.as_microsecond(), reason],
    )?;
    Ok(())
}

/// [`StoreError::Paused`] when nothing may run.
pub(super) fn refuse(connection: &Connection) -> Result<()> {
    match find(connection)? {
        None => Ok(()),
        Some(Pause { since, reason }) => Err(StoreError::Paused { since, reason }),
    }
}

fn find(connection: &Connection) -> Result<Option<Pause>> {
    connection
        .prepare_cached("SELECT since, reason FROM pause")?
        .query_row([], |row| {
            Ok((|| {
                Ok(Pause {
                    since: moment(row, "since")?,
                    reason: get(row, "reason")?,
                })
            })())
        })
        .optional()?
        .transpose()
}
