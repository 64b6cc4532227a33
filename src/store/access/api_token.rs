//! Bearer tokens for scripts: a name, the digest of the token, and when it was used.

use super::super::sql::{Connection, params};
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;
use serde_json::{Value, json};

use super::super::Store;
use super::super::audit::{NewEntry, append};
use super::super::convert::{get, moment, moment_option};
use super::super::error::{Result, StoreError};
use crate::core::audit::AuditAction;
use crate::crash_point::reach;

/// How exactly the last use is known: a write for each request would cost more than it tells.
const USE_GRAIN: SignedDuration = SignedDuration::from_mins(5);

/// One token, without what opens anything.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ApiToken {
    pub name: String,
    pub created_by: String,
    pub created_at: Timestamp,
    /// To five minutes.
    pub last_used_at: Option<Timestamp>,
    /// None: never.
    pub expires_at: Option<Timestamp>,
}

impl ApiToken {
    /// Whether a use at `now` is worth being written down.
    #[must_use]
    pub fn use_is_news(&self, now: Timestamp) -> bool {
        self.last_used_at
            .is_none_or(|last| now.duration_since(last) >= USE_GRAIN)
    }
}

impl Store {
    /// Keeps a new token.
    ///
    /// # Errors
    /// [`StoreError::Taken`] when there is one of that name.
    pub fn add_api_token(
        &mut self,
        name: &str,
        token_hash: &[u8; 32],
        expires_at: Option<Timestamp>,
        actor: &str,
        now: Timestamp,
    ) -> Result<()> {
        self.write(|tx| {
            let added = tx
                .prepare_cached(
                    "INSERT INTO api_tokens (name, token_hash, created_by, created_at, expires_at)
                     VALUES (?1, ?2, ?3, ?4, ?5) ON CONFLICT (name) DO NOTHING",
                )?
                .execute(params![
                    name,
                    token_hash,
                    actor,
                    now.as_microsecond(),
                    expires_at.map(Timestamp::as_microsecond)
                ])?;
            if added == 0 {
                let what = "token";
                let name = name.to_owned();
                return Err(StoreError::Taken { what, name });
            }
            reach("token: kept");
            let detail = json!({ "token": name, "expires_at": expires_at });
            audit(tx, AuditAction::TokenMade, detail, actor, now)
        })
    }

    /// Forgets a token: it opens nothing any more.
    ///
    /// # Errors
    /// [`StoreError::NotFound`].
    pub fn revoke_api_token(&mut self, name: &str, actor: &str, now: Timestamp) -> Result<()> {
        self.write(|tx| {
            let removed = tx
                .prepare_cached("DELETE FROM api_tokens WHERE name = ?1")?
                .execute([name])?;
            if removed == 0 {
                let what = "token";
                let name = name.to_owned();
                return Err(StoreError::NotFound { what, name });
            }
            reach("token: revoked");
            audit(
                tx,
                AuditAction::TokenRevoked,
                json!({ "token": name }),
                actor,
                now,
            )
        })
    }

    /// All tokens by name, those whose time is over too.
    ///
    /// # Errors
    /// When the database fails.
    pub fn api_tokens(&self) -> Result<Vec<ApiToken>> {
        let mut statement = self
            .connection
            .prepare_cached("SELECT * FROM api_tokens ORDER BY name")?;
        let rows = statement.query_and_then([], read)?;
        rows.collect()
    }

    /// The token with this digest, or none when there is none or its time is over.
    ///
    /// # Errors
    /// When the database fails.
    pub fn api_token(&self, token_hash: &[u8; 32], now: Timestamp) -> Result<Option<ApiToken>> {
        self.connection
            .prepare_cached(
                "SELECT * FROM api_tokens
                 WHERE token_hash = ?1 AND (expires_at IS NULL OR expires_at > ?2)",
            )?
            .query_and_then(params![token_hash, now.as_microsecond()], read)?
            .next()
            .transpose()
    }

    /// Notes that a token was used.
    ///
    /// # Errors
    /// When the database fails.
    pub fn api_token_used(&mut self, name: &str, now: Timestamp) -> Result<()> {
        self.write(|tx| {
            tx.prepare_cached("UPDATE api_tokens SET last_used_at = ?2 WHERE name = ?1")?
                .execute(params![name, now.as_microsecond()])?;
            Ok(())
        })
    }
}

fn read(row: &super::super::sql::Row<'_>) -> Result<ApiToken> {
    Ok(ApiToken {
        name: get(row, "name")?,
        created_by: get(row, "created_by")?,
        created_at: moment(row, "created_at")?,
        last_used_at: moment_option(row, "last_used_at")?,
        expires_at: moment_option(row, "expires_at")?,
    })
}

fn audit(
    tx: &Connection,
    action: AuditAction,
    detail: Value,
    actor: &str,
    now: Timestamp,
) -> Result<()> {
    let entry = NewEntry {
        actor,
        action,
        resource: None,
        job: None,
        detail,
    };
    append(tx, now, &entry)
}
