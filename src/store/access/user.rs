//! People who may look at the status endpoint. Of passwords only hashes are here.

use super::super::sql::{Connection, OptionalExtension, params};
use jiff::Timestamp;
use serde::Serialize;
use serde_json::json;

use super::super::Store;
use super::super::audit::{NewEntry, append};
use super::super::convert::{get, moment, unsigned};
use super::super::error::{Result, StoreError};
use crate::core::audit::AuditAction;
use crate::crash_point::reach;

/// One user, without the password's hash.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct User {
    pub name: String,
    /// Sessions that have not ended.
    pub sessions: u64,
    pub created_at: Timestamp,
    /// When the password was set.
    pub updated_at: Timestamp,
}

impl Store {
    /// Adds a user whose password has the hash `hash`.
    ///
    /// # Errors
    /// [`StoreError::Taken`] when there is one of that name.
    pub fn add_user(&mut self, name: &str, hash: &str, actor: &str, now: Timestamp) -> Result<()> {
        self.write(|tx| {
            let added = tx
                .prepare_cached(
                    "INSERT INTO users (name, password_hash, created_at, updated_at)
                     VALUES (?1, ?2, ?3, ?3) ON CONFLICT (name) DO NOTHING",
                )?
                .execute(params![name, hash, now.as_microsecond()])?;
            if added == 0 {
                let what = "user";
                let name = name.to_owned();
                return Err(StoreError::Taken { what, name });
            }
            reach("user: added");
            audit(tx, AuditAction::UserAdded, name, actor, now)
        })
    }

    /// Sets another password and ends all sessions of the user.
    ///
    /// # Errors
    /// [`StoreError::NotFound`].
    pub fn set_password(
        &mut self,
        name: &str,
        hash: &str,
        actor: &str,
        now: Timestamp,
    ) -> Result<()> {
        self.write(|tx| {
            let changed = tx
                .prepare_cached(
                    "UPDATE users SET password_hash = ?2, updated_at = ?3 WHERE name = ?1",
                )?
                .execute(params![name, hash, now.as_microsecond()])?;
            if changed == 0 {
                return Err(not_found(name));
            }
            reach("user: password set");
            super::session::end_all(tx, name)?;
            audit(tx, AuditAction::PasswordSet, name, actor, now)
        })
    }

    /// Removes a user with all sessions.
    ///
    /// # Errors
    /// [`StoreError::NotFound`].
    pub fn remove_user(&mut self, name: &str, actor: &str, now: Timestamp) -> Result<()> {
        self.write(|tx| {
            let removed = tx
                .prepare_cached("DELETE FROM users WHERE name = ?1")?
                .execute([name])?;
            if removed == 0 {
                return Err(not_found(name));
            }
            reach("user: removed");
            audit(tx, AuditAction::UserRemoved, name, actor, now)
        })
    }

    /// Ends all sessions of a user; how many there were.
    ///
    /// # Errors
    /// [`StoreError::NotFound`].
    pub fn end_sessions(&mut self, name: &str, actor: &str, now: Timestamp) -> Result<usize> {
        self.write(|tx| {
            if hash(tx, name)?.is_none() {
                return Err(not_found(name));
            }
            let ended = super::session::end_all(tx, name)?;
            audit(tx, AuditAction::SessionsRevoked, name, actor, now)?;
            Ok(ended)
        })
    }

    /// All users by name.
    ///
    /// # Errors
    /// When the database fails.
    pub fn users(&self, now: Timestamp) -> Result<Vec<User>> {
        let mut statement = self.connection.prepare_cached(
            "SELECT name, created_at, updated_at,
                 (SELECT count(*) FROM sessions WHERE user = name AND expires_at > ?1) AS sessions
             FROM users ORDER BY name",
        )?;
        let rows = statement.query_and_then([now.as_microsecond()], |row| {
            Ok(User {
                name: get(row, "name")?,
                sessions: unsigned(row, "sessions")?,
                created_at: moment(row, "created_at")?,
                updated_at: moment(row, "updated_at")?,
            })
        })?;
        rows.collect()
    }

    /// The hash of a user's password, or none without such a user.
    ///
    /// # Errors
    /// When the database fails.
    pub fn password_hash(&self, name: &str) -> Result<Option<String>> {
        hash(&self.connection, name)
    }
}

fn hash(connection: &Connection, name: &str) -> Result<Option<String>> {
    Ok(connection
        .prepare_cached("SELECT password_hash FROM users WHERE name = ?1")?
        .query_row([name], |row| row.get(0))
        .optional()?)
}

fn not_found(name: &str) -> StoreError {
    StoreError::NotFound {
        what: "user",
        name: name.to_owned(),
    }
}

fn audit(
    tx: &Connection,
    action: AuditAction,
    name: &str,
    actor: &str,
    now: Timestamp,
) -> Result<()> {
    let entry = NewEntry {
        actor,
        action,
        resource: None,
        job: None,
        detail: json!({ "user": name }),
    };
    append(tx, now, &entry)
}
