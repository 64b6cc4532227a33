//! The audit chain in its table: appending inside other transactions, listing, verifying.

use jiff::Timestamp;
use rusqlite::types::Value;
use rusqlite::{Connection, OptionalExtension, Row, params, params_from_iter};
use schemars::JsonSchema;
use serde::Serialize;

use super::convert::{digest, get, moment, parsed, parsed_option, signed, unsigned};
use super::error::Result;
use super::filter::{Conditions, text};
use super::{Store, head};
use crate::core::audit::{
    self, AuditAction, Break, BreakReason, ChainHash, Content, EMPTY, Head, entry_hash,
};
use crate::core::id::ResourceId;
use crate::core::recorded::JobId;
use crate::crash_point::reach;

/// What a transaction says about itself.
pub(super) struct NewEntry<'a> {
    pub(super) actor: &'a str,
    pub(super) action: AuditAction,
    pub(super) resource: Option<&'a ResourceId>,
    pub(super) job: Option<JobId>,
    pub(super) detail: serde_json::Value,
}

/// One entry as it is shown.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct AuditEntry {
    pub seq: u64,
    pub at: Timestamp,
    pub actor: String,
    pub action: AuditAction,
    pub resource: Option<ResourceId>,
    pub job: Option<JobId>,
    pub detail: serde_json::Value,
    pub hash: ChainHash,
}

/// Which entries to list.
#[derive(Clone, Debug, Default)]
pub struct AuditFilter {
    pub resource: Option<ResourceId>,
    pub job: Option<JobId>,
    pub action: Option<AuditAction>,
    /// Only entries with a smaller number: the last one of the page before.
    pub before: Option<u64>,
    pub limit: u32,
}

/// What verifying the whole chain found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Verification {
    /// Of what is in the database; up to the break if there is one.
    pub head: Head,
    /// The head that was noted beside the database, if there is one.
    pub noted: Option<Head>,
    pub broken: Option<Break>,
}

/// Appends `entry` to the chain, in the transaction that it speaks about.
pub(super) fn append(tx: &Connection, now: Timestamp, entry: &NewEntry<'_>) -> Result<()> {
    let Head {
        seq,
        hash: previous,
    } = head(tx)?;
    let resource = entry.resource.map(ToString::to_string);
    let job = entry.job.map(|job| job.to_string());
    let detail = entry.detail.to_string();
    let content = Content {
        seq: seq + 1,
        at: now.as_microsecond(),
        actor: entry.actor,
        action: entry.action.as_str(),
        resource: resource.as_deref(),
        job: job.as_deref(),
        detail: &detail,
    };
    let hash = entry_hash(previous, &content);
    tx.prepare_cached(
        "INSERT INTO audit (seq, at, actor, action, resource, job, detail, prev_hash, hash)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
    )?
    .execute(params![
        signed(content.seq),
        content.at,
        content.actor,
        content.action,
        content.resource,
        content.job,
        content.detail,
        previous.0,
        hash.0,
    ])?;
    reach("audit: appended");
    Ok(())
}

/// The end of the chain as the database has it.
pub(super) fn head(connection: &Connection) -> Result<Head> {
    let row = connection
        .prepare_cached("SELECT seq, hash FROM audit ORDER BY seq DESC LIMIT 1")?
        .query_row([], |row| {
            Ok((row.get::<_, i64>(0)?, row.get::<_, [u8; 32]>(1)?))
        })
        .optional()?;
    Ok(row.map_or(EMPTY, |(seq, hash)| Head {
        seq: seq.unsigned_abs(),
        hash: ChainHash(hash),
    }))
}

impl Store {
    /// Adds one entry that stands for itself, such as the reveal of a secret.
    ///
    /// # Errors
    /// When the database fails.
    pub fn record_audit(
        &mut self,
        actor: &str,
        action: AuditAction,
        detail: serde_json::Value,
        now: Timestamp,
    ) -> Result<()> {
        self.write(|tx| {
            append(
                tx,
                now,
                &NewEntry {
                    actor,
                    action,
                    resource: None,
                    job: None,
                    detail,
                },
            )
        })
    }

    /// Entries, the newest first.
    ///
    /// # Errors
    /// When the database fails or holds an entry that cannot be read.
    pub fn audit_entries(&self, filter: &AuditFilter) -> Result<Vec<AuditEntry>> {
        let mut conditions = Conditions::default()
            .and("resource =", filter.resource.as_ref().map(text))
            .and("job =", filter.job.as_ref().map(text))
            .and("action =", filter.action.as_ref().map(text))
            .and("seq <", filter.before.map(|n| Value::Integer(signed(n))));
        let limit = i64::from(filter.limit);
        let query = conditions.query("SELECT * FROM audit", "seq DESC", limit);
        let mut statement = self.connection.prepare_cached(&query)?;
        let rows = statement.query_and_then(params_from_iter(conditions.values), entry)?;
        rows.collect()
    }

    /// The end of the chain, to be noted somewhere else.
    ///
    /// # Errors
    /// When the database fails.
    pub fn audit_head(&self) -> Result<Head> {
        head(&self.connection)
    }

    /// Recomputes every hash, compares the end with the head that was noted beside the
    /// database, and with `expected` if one was kept elsewhere.
    ///
    /// # Errors
    /// When the database cannot be read; a broken chain is a result, not an error.
    pub fn verify_audit(&self, expected: Option<Head>) -> Result<Verification> {
        // Read before the chain: it is written after the commit, so it is never ahead of it.
        let (noted, unreadable) = match head::noted(&self.path) {
            Ok(noted) => (noted, false),
            Err(error) => {
                tracing::warn!(%error, "cannot read the noted audit head");
                (None, true)
            }
        };
        let mut chain = EMPTY;
        let mut broken = None;
        let mut wanted: Vec<Head> = noted.into_iter().chain(expected).collect();
        let mut statement = self
            .connection
            .prepare("SELECT * FROM audit ORDER BY seq")?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            match follow(chain, row)? {
                Ok(next) => chain = next,
                Err(found) => {
                    broken = Some(found);
                    break;
                }
            }
            wanted.retain(|head| head.seq != chain.seq || head.hash != chain.hash);
        }
        let missing = wanted
            .iter()
            .filter(|head| head.seq > 0)
            .min_by_key(|head| head.seq);
        if broken.is_none()
            && let Some(head) = missing
        {
            let seq = head.seq.min(chain.seq + 1);
            let reason = if head.seq > chain.seq {
                BreakReason::Truncated
            } else {
                BreakReason::Replaced
            };
            broken = Some(Break { seq, reason });
        }
        if broken.is_none() && unreadable {
            broken = Some(Break {
                seq: chain.seq,
                reason: BreakReason::Replaced,
            });
        }
        Ok(Verification {
            head: chain,
            noted,
            broken,
        })
    }
}

/// The end of the chain when it is whole, else where it breaks.
pub(super) fn verify(connection: &Connection) -> Result<Result<Head, Break>> {
    let mut chain = EMPTY;
    let mut statement = connection.prepare("SELECT * FROM audit ORDER BY seq")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        match follow(chain, row)? {
            Ok(next) => chain = next,
            Err(found) => return Ok(Err(found)),
        }
    }
    Ok(Ok(chain))
}

/// Whether the chain has this entry.
pub(super) fn contains(connection: &Connection, head: Head) -> Result<bool> {
    if head == EMPTY {
        return Ok(true);
    }
    Ok(connection
        .prepare_cached("SELECT 1 FROM audit WHERE seq = ?1 AND hash = ?2")?
        .exists(params![signed(head.seq), head.hash.0])?)
}

/// When the last entry was written, in microseconds, or 0.
pub(super) fn last_at(connection: &Connection) -> Result<i64> {
    Ok(connection
        .prepare_cached("SELECT coalesce(max(at), 0) FROM audit")?
        .query_row([], |row| row.get(0))?)
}

fn follow(chain: Head, row: &Row<'_>) -> Result<Result<Head, Break>> {
    let text = |name: &str| get::<Option<String>>(row, name);
    let (actor, action): (String, String) = (get(row, "actor")?, get(row, "action")?);
    let (resource, job) = (text("resource")?, text("job")?);
    let detail: String = get(row, "detail")?;
    let content = Content {
        seq: unsigned(row, "seq")?,
        at: get(row, "at")?,
        actor: &actor,
        action: &action,
        resource: resource.as_deref(),
        job: job.as_deref(),
        detail: &detail,
    };
    let previous = ChainHash(digest(row, "prev_hash")?);
    Ok(audit::follow(
        chain,
        &content,
        previous,
        ChainHash(digest(row, "hash")?),
    ))
}

fn entry(row: &Row<'_>) -> Result<AuditEntry> {
    let detail: String = get(row, "detail")?;
    Ok(AuditEntry {
        seq: unsigned(row, "seq")?,
        at: moment(row, "at")?,
        actor: get(row, "actor")?,
        action: parsed(row, "action")?,
        resource: parsed_option(row, "resource")?,
        job: parsed_option(row, "job")?,
        detail: serde_json::from_str(&detail).map_err(super::convert::corrupt)?,
        hash: ChainHash(digest(row, "hash")?),
    })
}
