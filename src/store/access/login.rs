//! The memory of the login limiter, and the record of logins that failed.
//!
//! A login is counted as failed before its password is looked at, and taken back when it turns
//! out right: a process that dies in between forgets nothing. What is kept is bounded: old
//! counts go, new ones take the place of the oldest, and of a flood only its size is audited.

use super::super::sql::{Connection, OptionalExtension, params};
use jiff::{SignedDuration, Timestamp};
use serde_json::json;

use super::super::Store;
use super::super::audit::{NewEntry, append};
use super::super::convert::timestamp;
use super::super::error::Result;
use crate::core::audit::AuditAction;
use crate::core::login_limit::{Counted, FORGOTTEN_AFTER, PRESSURE_SPAN, slow_down, wait};
use crate::crash_point::reach;

/// The most counts that are kept.
const MOST_BUCKETS: i64 = 100_000;
/// How many of the oldest go when there are more.
const TRIMMED: i64 = 1_000;
/// The most failed logins that get an audit entry of their own within [`AUDIT_SPAN`].
const MOST_ENTRIES: i64 = 60;
const AUDIT_SPAN: SignedDuration = SignedDuration::from_hours(1);
/// Counts the failures of everybody.
const EVERYBODY: [u8; 32] = [0; 32];

/// What a login is counted under: digests, so that no typed name is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LoginBuckets {
    /// Of the account and the source together.
    pub account: [u8; 32],
    /// Of the source alone.
    pub source: [u8; 32],
}

/// What becomes of a wish to log in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LoginGate {
    /// The password may be looked at, after this long.
    Open(SignedDuration),
    /// Not before this moment.
    ClosedUntil(Timestamp),
}

impl Store {
    /// Until when a login has to wait, or none; it is not counted by this.
    ///
    /// # Errors
    /// When the database fails.
    pub fn login_wait(&self, buckets: &LoginBuckets, now: Timestamp) -> Result<Option<Timestamp>> {
        closed_until(&self.connection, buckets, now)
    }

    /// Counts a login as failed, unless it has to wait.
    ///
    /// # Errors
    /// When the database fails; then nobody is let in.
    pub fn begin_login(&mut self, buckets: &LoginBuckets, now: Timestamp) -> Result<LoginGate> {
        self.write(|tx| {
            if let Some(until) = closed_until(tx, buckets, now)? {
                return Ok(LoginGate::ClosedUntil(until));
            }
            add(tx, &buckets.account, FORGOTTEN_AFTER, now)?;
            reach("login: account counted");
            add(tx, &buckets.source, FORGOTTEN_AFTER, now)?;
            reach("login: source counted");
            let pressure = add(tx, &EVERYBODY, PRESSURE_SPAN, now)?;
            trim(tx, now)?;
            Ok(LoginGate::Open(slow_down(pressure)))
        })
    }

    /// Takes the count of a login back because its password was right.
    ///
    /// # Errors
    /// When the database fails.
    pub fn login_was_right(&mut self, buckets: &LoginBuckets) -> Result<()> {
        self.write(|tx| {
            tx.prepare_cached("DELETE FROM login_failures WHERE bucket = ?1")?
                .execute([buckets.account])?;
            reach("login: account forgiven");
            for bucket in [&buckets.source, &EVERYBODY] {
                tx.prepare_cached("DELETE FROM login_failures WHERE bucket = ?1 AND failures = 1")?
                    .execute([bucket])?;
                tx.prepare_cached(
                    "UPDATE login_failures SET failures = failures - 1 WHERE bucket = ?1",
                )?
                .execute([bucket])?;
            }
            Ok(())
        })
    }

    /// Audits a login that failed, or only counts it when there are many. `user` is the user
    /// whose password was wrong, and none for a name that nobody has: it may be a password that
    /// was typed into the wrong field.
    ///
    /// # Errors
    /// When the database fails.
    pub fn audit_failed_login(
        &mut self,
        user: Option<&str>,
        source: &str,
        now: Timestamp,
    ) -> Result<()> {
        self.write(|tx| {
            let (since, written, left_out): (i64, i64, i64) = tx
                .prepare_cached("SELECT since, written, left_out FROM login_audit")?
                .query_row([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
            let is_over = now.duration_since(timestamp(since)?) >= AUDIT_SPAN;
            if !is_over && written >= MOST_ENTRIES {
                tx.prepare_cached("UPDATE login_audit SET left_out = left_out + 1")?
                    .execute([])?;
                return Ok(());
            }
            let (since, written) = if is_over {
                (now.as_microsecond(), 1)
            } else {
                (since, written + 1)
            };
            tx.prepare_cached("UPDATE login_audit SET since = ?1, written = ?2, left_out = 0")?
                .execute([since, written])?;
            reach("login: entry counted");
            let mut detail = json!({ "source": source, "user": user });
            if left_out > 0 {
                detail["more_before"] = json!(left_out);
            }
            let entry = NewEntry {
                actor: "web",
                action: AuditAction::LoginFailed,
                resource: None,
                job: None,
                detail,
            };
            append(tx, now, &entry)
        })
    }
}

fn closed_until(
    connection: &Connection,
    buckets: &LoginBuckets,
    now: Timestamp,
) -> Result<Option<Timestamp>> {
    let of = |bucket: &[u8; 32], counted: Counted| -> Result<Option<Timestamp>> {
        let Some((failures, last)) = failures(connection, bucket)? else {
            return Ok(None);
        };
        // A clock that was set back must not close the gate for longer than any wait is.
        let last = last.min(now);
        Ok(last
            .checked_add(wait(counted, failures))
            .ok()
            .filter(|until| *until > now))
    };
    let account = of(&buckets.account, Counted::Account)?;
    Ok(account.max(of(&buckets.source, Counted::Source)?))
}

fn failures(connection: &Connection, bucket: &[u8; 32]) -> Result<Option<(u32, Timestamp)>> {
    let row: Option<(u32, i64)> = connection
        .prepare_cached("SELECT failures, last_at FROM login_failures WHERE bucket = ?1")?
        .query_row([bucket], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    row.map(|(failures, last)| Ok((failures, timestamp(last)?)))
        .transpose()
}

/// Counts one more failure, from one where the count is older than `span`; the count.
fn add(tx: &Connection, bucket: &[u8; 32], span: SignedDuration, now: Timestamp) -> Result<u32> {
    let oldest = now.saturating_sub(span).unwrap_or(Timestamp::MIN);
    // The count of everybody is one of a span, so it keeps the moment at which it began.
    let keeps_begin = *bucket == EVERYBODY;
    Ok(tx
        .prepare_cached(
            "INSERT INTO login_failures (bucket, failures, last_at) VALUES (?1, 1, ?2)
             ON CONFLICT (bucket) DO UPDATE SET
                 failures = CASE WHEN last_at < ?3 THEN 1
                     WHEN failures < 1000000 THEN failures + 1 ELSE failures END,
                 last_at = CASE WHEN ?4 = 1 AND last_at >= ?3 THEN last_at ELSE ?2 END
             RETURNING failures",
        )?
        .query_row(
            params![
                bucket,
                now.as_microsecond(),
                oldest.as_microsecond(),
                keeps_begin
            ],
            |row| row.get(0),
        )?)
}

fn trim(tx: &Connection, now: Timestamp) -> Result<()> {
    let oldest = now
        .saturating_sub(FORGOTTEN_AFTER)
        .unwrap_or(Timestamp::MIN);
    tx.prepare_cached("DELETE FROM login_failures WHERE last_at < ?1")?
        .execute([oldest.as_microsecond()])?;
    let count: i64 = tx
        .prepare_cached("SELECT count(*) FROM login_failures")?
        .query_row([], |row| row.get(0))?;
    if count > MOST_BUCKETS {
        tx.prepare_cached(
            "DELETE FROM login_failures WHERE bucket IN
                 (SELECT bucket FROM login_failures ORDER BY last_at LIMIT ?1)",
        )?
        .execute([TRIMMED])?;
    }
    reach("login: trimmed");
    Ok(())
}
