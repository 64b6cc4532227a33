//! Sessions: they are known by the digest of their token, end by themselves and can be ended.

use super::super::sql::{Connection, params};
use jiff::Timestamp;
use serde_json::json;

use super::super::Store;
use super::super::audit::{NewEntry, append};
use super::super::convert::{get, moment};
use super::super::error::{Result, StoreError};
use crate::core::audit::AuditAction;
use crate::crash_point::reach;

/// A session that has not ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    pub user: String,
    pub expires_at: Timestamp,
}

impl Store {
    /// Opens a session of `user`; sessions whose time is over are forgotten on the way.
    ///
    /// `hash` is the one that the password was compared with: nothing is opened when the user
    /// was removed or got another password meanwhile.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] when that is so.
    pub fn open_session(
        &mut self,
        token_hash: &[u8; 32],
        user: (&str, &str),
        expires_at: Timestamp,
        source: &str,
        now: Timestamp,
    ) -> Result<()> {
        let (name, hash) = user;
        self.write(|tx| {
            tx.prepare_cached("DELETE FROM sessions WHERE expires_at <= ?1")?
                .execute([now.as_microsecond()])?;
            let opened = tx
                .prepare_cached(
                    "INSERT INTO sessions (token_hash, user, created_at, expires_at)
                     SELECT ?1, name, ?3, ?4 FROM users WHERE name = ?2 AND password_hash = ?5",
                )?
                .execute(params![
                    token_hash,
                    name,
                    now.as_microsecond(),
                    expires_at.as_microsecond(),
                    hash
                ])?;
            if opened == 0 {
                let what = "user";
                let name = name.to_owned();
                return Err(StoreError::NotFound { what, name });
            }
            reach("session: opened");
            let detail = json!({ "source": source });
            audit(tx, AuditAction::LoginSucceeded, name, detail, now)
        })
    }

    /// The session with this token, or none when it has ended.
    ///
    /// # Errors
    /// When the database fails.
    pub fn session(&self, token_hash: &[u8; 32], now: Timestamp) -> Result<Option<Session>> {
        self.connection
            .prepare_cached(
                "SELECT user, expires_at FROM sessions WHERE token_hash = ?1 AND expires_at > ?2",
            )?
            .query_and_then(params![token_hash, now.as_microsecond()], |row| {
                Ok(Session {
                    user: get(row, "user")?,
                    expires_at: moment(row, "expires_at")?,
                })
            })?
            .next()
            .transpose()
    }

    /// Ends the session with this token; whose it was, or none when there is none.
    ///
    /// # Errors
    /// When the database fails.
    pub fn close_session(
        &mut self,
        token_hash: &[u8; 32],
        now: Timestamp,
    ) -> Result<Option<String>> {
        self.write(|tx| {
            let user: Option<String> = tx
                .prepare_cached("DELETE FROM sessions WHERE token_hash = ?1 RETURNING user")?
                .query_and_then([token_hash], |row| row.get(0))?
                .next()
                .transpose()?;
            if let Some(user) = &user {
                reach("session: closed");
                audit(tx, AuditAction::LoggedOut, user, json!({}), now)?;
            }
            Ok(user)
        })
    }
}

/// Ends all sessions of a user; how many there were.
pub(super) fn end_all(tx: &Connection, user: &str) -> Result<usize> {
    let ended = tx
        .prepare_cached("DELETE FROM sessions WHERE user = ?1")?
        .execute([user])?;
    reach("session: all ended");
    Ok(ended)
}

/// Ends everybody's sessions: a restored database does not know which were ended since.
pub(in crate::store) fn end_everybodys(tx: &Connection) -> Result<()> {
    tx.execute("DELETE FROM sessions", [])?;
    Ok(())
}

fn audit(
    tx: &Connection,
    action: AuditAction,
    user: &str,
    detail: serde_json::Value,
    now: Timestamp,
) -> Result<()> {
    let actor = format!("user:{user}");
    let entry = NewEntry {
        actor: &actor,
        action,
        resource: None,
        job: None,
        detail,
    };
    append(tx, now, &entry)
}
