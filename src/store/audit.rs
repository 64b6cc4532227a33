//! The audit chain in its table: appending inside other transactions, listing, verifying.

use std::path::{Path, PathBuf};

use super::sql::Value;
use super::sql::{Connection, OptionalExtension, Row, params, params_from_iter};
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::Serialize;

use super::Store;
use super::convert::{
    digest, get, moment, parse, parsed, parsed_option, signed, timestamp, unsigned,
};
use super::error::Result;
use super::filter::{Conditions, text};
use super::history::close::{closed_upto, segments};
use super::history::segment::{Line, directory_of, follow_file};
use super::sqlite::head;
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
    /// How many of the entries are in closed segments beside the database, and in how many.
    pub closed: u64,
    pub segments: u64,
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

    /// Recomputes every hash, of the closed segments beside the database and of what is in it,
    /// compares the end with the head that was noted beside the database, and with `expected` if
    /// one was kept elsewhere.
    ///
    /// # Errors
    /// When the database or a segment cannot be read; a broken chain is a result, not an error.
    pub fn verify_audit(&self, expected: Option<Head>) -> Result<Verification> {
        // Read before the chain: it is written after the commit, so it is never ahead of it.
        let (noted, unreadable) = match head::noted(&self.path) {
            Ok(noted) => (noted, false),
            Err(error) => {
                tracing::warn!(%error, "cannot read the noted audit head");
                (None, true)
            }
        };
        let mut wanted: Vec<Head> = noted.into_iter().chain(expected).collect();
        // Entries may leave the database meanwhile: all of it is seen at one moment.
        let moment = self.connection.unchecked_transaction()?;
        let (chain, mut broken) = follow_all(&moment, &self.path, &mut |head| {
            wanted.retain(|known| *known != head);
        })?;
        let (closed, segments) = (closed_upto(&moment)?.seq, segments(&moment)?.len() as u64);
        moment.commit()?;
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
            closed,
            segments,
            noted,
            broken,
        })
    }

    /// Entries of closed segments, the newest first, as [`Store::audit_entries`] has those of the
    /// database. Reads the files from the newest back until there are enough. Files among them that
    /// are missing or do not hold go to `lost` with what is wrong: of these there is no entry.
    ///
    /// # Errors
    /// When the database or a segment cannot be read.
    pub fn closed_audit_entries(
        &self,
        filter: &AuditFilter,
        lost: &mut dyn FnMut(PathBuf, Break),
    ) -> Result<Vec<AuditEntry>> {
        let all = segments(&self.connection)?;
        let directory = directory_of(&self.path);
        let limit = filter.limit as usize;
        let mut found = Vec::new();
        for (index, segment) in all.iter().enumerate().rev() {
            if found.len() >= limit {
                break;
            }
            if filter.before.is_some_and(|before| segment.first >= before) {
                continue;
            }
            let before = match index.checked_sub(1).and_then(|index| all.get(index)) {
                Some(previous) => previous.head,
                None => EMPTY,
            };
            let mut entries = Vec::new();
            let mut failed = None;
            let path = directory.join(segment.name());
            let followed = follow_file(&path, before, &mut |head, line| match closed_entry(
                head, line, filter,
            ) {
                Ok(entry) => entries.extend(entry),
                Err(error) => failed = Some(error),
            })?;
            match (followed, failed) {
                (Err(broken), _) => lost(path, broken),
                // A whole chain that was computed anew.
                (Ok(head), _) if head != segment.head => lost(path, replaced(head.seq)),
                (Ok(_), Some(error)) => return Err(error),
                (Ok(_), None) => found.extend(entries.into_iter().rev()),
            }
        }
        found.truncate(limit);
        Ok(found)
    }
}

/// The end of the whole chain, or as far as it holds, and where it breaks; each head on the way
/// goes to `each`.
fn follow_all(
    connection: &Connection,
    database: &Path,
    each: &mut dyn FnMut(Head),
) -> Result<(Head, Option<Break>)> {
    let first = first_in(connection)?;
    let directory = directory_of(database);
    let mut closed = EMPTY;
    // Where the entries of the database begin. Some may be in a segment, too.
    let mut start = EMPTY;
    let mut last = EMPTY;
    for segment in segments(connection)? {
        let path = directory.join(segment.name());
        let followed = follow_file(&path, closed, &mut |head, _| {
            each(head);
            last = head;
            if head.seq < first {
                start = head;
            }
        })?;
        match followed {
            Ok(head) if head == segment.head => closed = head,
            Ok(head) => return Ok((head, Some(replaced(head.seq)))),
            Err(broken) => return Ok((last, Some(broken))),
        }
    }
    follow_rows(connection, start, closed, each)
}

/// Follows the entries of the database from `start`, past the end `closed` of the segments.
fn follow_rows(
    connection: &Connection,
    start: Head,
    closed: Head,
    each: &mut dyn FnMut(Head),
) -> Result<(Head, Option<Break>)> {
    let mut chain = start;
    let mut statement = connection.prepare("SELECT * FROM audit ORDER BY seq")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        match follow(chain, row)? {
            Ok(next) => chain = next,
            Err(found) => return Ok((chain, Some(found))),
        }
        if chain.seq == closed.seq && chain != closed {
            return Ok((chain, Some(replaced(chain.seq))));
        }
        each(chain);
    }
    Ok((chain, None))
}

fn replaced(seq: u64) -> Break {
    Break {
        seq,
        reason: BreakReason::Replaced,
    }
}

/// The number of the first entry in the database.
fn first_in(connection: &Connection) -> Result<u64> {
    Ok(connection
        .prepare_cached("SELECT min(seq) AS first FROM audit")?
        .query_row([], |row| row.get::<_, Option<i64>>(0))?
        .map_or(u64::MAX, i64::unsigned_abs))
}

/// The end of the chain when what is in the database is whole, else where it breaks. The closed
/// segments, which are not looked at, are taken for what the database says of them.
pub(super) fn verify(connection: &Connection) -> Result<Result<Head, Break>> {
    let closed = closed_upto(connection)?;
    let first = first_in(connection)?;
    let start = match first <= closed.seq {
        false => closed,
        true => Head {
            seq: first - 1,
            hash: ChainHash(
                connection
                    .prepare_cached("SELECT prev_hash FROM audit WHERE seq = ?1")?
                    .query_row([signed(first)], |row| row.get(0))?,
            ),
        },
    };
    let (head, broken) = follow_rows(connection, start, closed, &mut |_| {})?;
    Ok(broken.map_or(Ok(head), Err))
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

/// An entry of a segment, when `filter` lets it through.
fn closed_entry(head: Head, line: &Line, filter: &AuditFilter) -> Result<Option<AuditEntry>> {
    let resource = filter.resource.as_ref().map(ToString::to_string);
    let job = filter.job.as_ref().map(ToString::to_string);
    let action = filter.action.map(AuditAction::as_str);
    let wanted = (resource.is_none() || resource == line.resource)
        && (job.is_none() || job == line.job)
        && action.is_none_or(|action| action == line.action)
        && filter.before.is_none_or(|before| line.seq < before);
    if !wanted {
        return Ok(None);
    }
    Ok(Some(AuditEntry {
        seq: line.seq,
        at: timestamp(line.at)?,
        actor: line.actor.clone(),
        action: parse(&line.action)?,
        resource: line.resource.as_deref().map(parse).transpose()?,
        job: line.job.as_deref().map(parse).transpose()?,
        detail: serde_json::from_str(&line.detail).map_err(super::convert::corrupt)?,
        hash: head.hash,
    }))
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
