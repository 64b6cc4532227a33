//! Closing segments of the audit chain: the oldest entries are written into a file, then that is
//! noted in the database, and only then they leave it.
//!
//! A death at any moment leaves each entry in the database or in a file that the database knows,
//! for a while in both.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::PathBuf;

use super::super::sql::{Connection, Row, params};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::super::Store;
use super::super::audit::{self, NewEntry, append};
use super::super::convert::{digest, get, signed, unsigned};
use super::super::error::{Result, StoreError};
use super::segment::{self, Line, directory_of};
use crate::core::audit::{AuditAction, ChainHash, EMPTY, Head, follow};
use crate::core::history::{HistoryKind, HistoryPolicy};
use crate::crash_point::reach;

/// The most entries of one segment.
const MOST: u64 = 10_000;
/// The last entries never leave the database, whatever the limits say: the chain goes on from them.
/// And no segment is closed before there are as many for it: closing one appends an entry, which
/// would be reason enough to close the next.
const LAST: u64 = 100;

/// A segment that was closed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Closing {
    pub first: u64,
    pub last: u64,
    pub path: PathBuf,
    pub bytes: u64,
}

/// A segment as the database knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::store) struct Closed {
    /// Its first entry,
    pub(in crate::store) first: u64,
    /// and its last.
    pub(in crate::store) head: Head,
}

impl Closed {
    /// The name of its file.
    pub(in crate::store) fn name(&self) -> String {
        segment::name_of(self.first, self.head)
    }
}

/// Says that this process clears up; the lock is free again when this is dropped, or dies.
#[derive(Debug)]
pub struct ClearingUp {
    _lock: File,
}

impl Store {
    /// Takes clearing up for this process, or none while another one does it.
    ///
    /// # Errors
    /// When the directory of the segments cannot be made or locked.
    pub fn clear_up(&self) -> Result<Option<ClearingUp>> {
        let directory = directory_of(&self.path);
        segment::make_directory(&directory)?;
        let wrong = |source| StoreError::Write {
            path: directory.clone(),
            source,
        };
        let lock = File::open(&directory).map_err(wrong)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(std::fs::TryLockError::WouldBlock) => return Ok(None),
            Err(std::fs::TryLockError::Error(error)) => return Err(wrong(error)),
        }
        segment::remove_drafts(&directory).map_err(wrong)?;
        Ok(Some(ClearingUp { _lock: lock }))
    }

    /// Closes a segment of the entries that are beyond the limits of `policy` at `now`, when they
    /// are enough for one.
    ///
    /// # Errors
    /// When the database or the disk fails, and when the chain does not hold: what is broken is not
    /// sealed. Then nothing has left the database.
    pub fn close_segment(
        &mut self,
        policy: &HistoryPolicy,
        actor: &str,
        now: Timestamp,
    ) -> Result<Option<Closing>> {
        let before = closed_upto(&self.connection)?;
        let lines = self.beyond(policy, before, now)?;
        let Some(head) = chain(before, &lines)? else {
            return Ok(None);
        };
        let said = said(&lines)?;
        let directory = directory_of(&self.path);
        segment::make_directory(&directory)?;
        let bytes = segment::write(&directory, before, &lines, head)?;
        let name = segment::name_of(before.seq + 1, head);
        self.write(|tx| {
            // Another process was faster: the file is the same, or of no use.
            if closed_upto(tx)? != before {
                return Ok(None);
            }
            tx.prepare_cached(
                "INSERT INTO audit_segments (first, last, hash, bytes, closed_at)
                 VALUES (?1, ?2, ?3, ?4, ?5)",
            )?
            .execute(params![
                signed(before.seq + 1),
                signed(head.seq),
                head.hash.0,
                signed(bytes),
                now.as_microsecond()
            ])?;
            reach("segment: noted");
            keep_said(tx, &said)?;
            tx.prepare_cached("DELETE FROM removed_plans WHERE audit_seq <= ?1")?
                .execute([signed(head.seq)])?;
            reach("segment: last words kept");
            let detail = json!({
                "first": before.seq + 1, "last": head.seq, "head": head.hash, "file": name,
            });
            let entry = NewEntry {
                actor,
                action: AuditAction::SegmentClosed,
                resource: None,
                job: None,
                detail,
            };
            append(tx, now, &entry)?;
            Ok(Some(Closing {
                first: before.seq + 1,
                last: head.seq,
                path: directory.join(&name),
                bytes,
            }))
        })
    }

    /// Takes entries out of the database that are in a closed segment, at most `limit` in one
    /// transaction; how many.
    ///
    /// # Errors
    /// When the database fails.
    pub fn forget_closed(&mut self, limit: u64) -> Result<u64> {
        let range = |connection: &Connection| -> Result<Option<(i64, i64)>> {
            let upto = signed(closed_upto(connection)?.seq);
            let first: Option<i64> = connection
                .prepare_cached("SELECT min(seq) FROM audit")?
                .query_row([], |row| row.get(0))?;
            Ok(first
                .filter(|first| *first <= upto)
                .map(|first| (first, upto)))
        };
        if range(&self.connection)?.is_none() {
            return Ok(0);
        }
        self.write(|tx| {
            let Some((first, upto)) = range(tx)? else {
                return Ok(0);
            };
            let end = upto.min(first.saturating_add(signed(limit.max(1)) - 1));
            let removed = tx
                .prepare_cached("DELETE FROM audit WHERE seq <= ?1")?
                .execute([end])?;
            reach("segment: entries forgotten");
            Ok(removed as u64)
        })
    }

    /// The entries after `before` that are beyond the limits; none when they are too few for a
    /// segment.
    fn beyond(&self, policy: &HistoryPolicy, before: Head, now: Timestamp) -> Result<Vec<Line>> {
        let end = audit::head(&self.connection)?.seq;
        let keep = policy.of(HistoryKind::Audit);
        let cutoff = policy.cutoff(HistoryKind::Audit, now);
        let by_count = end.saturating_sub(keep.count.max(LAST));
        let upto = end.saturating_sub(LAST).min(before.seq + MOST);
        if upto < before.seq + LAST {
            return Ok(Vec::new());
        }
        // Segments of a fair size: a tenth of what is kept, or what came in a sixth of the time.
        let many = (keep.count / 10).clamp(LAST, MOST);
        let sixth = SignedDuration::try_from(keep.age / 6).unwrap_or(SignedDuration::MAX);
        let overdue = cutoff.saturating_sub(sixth).unwrap_or(Timestamp::MIN);
        let oldest: Option<i64> = self
            .connection
            .prepare_cached("SELECT at FROM audit WHERE seq = ?1")?
            .query_map([signed(before.seq + 1)], |row| row.get(0))?
            .next()
            .transpose()?;
        let is_overdue = oldest.is_some_and(|at| at < overdue.as_microsecond());
        if by_count < before.seq + many && !is_overdue {
            return Ok(Vec::new());
        }
        let mut statement = self
            .connection
            .prepare_cached("SELECT * FROM audit WHERE seq > ?1 AND seq <= ?2 ORDER BY seq")?;
        let mut rows = statement.query(params![signed(before.seq), signed(upto)])?;
        let mut lines = Vec::new();
        while let Some(row) = rows.next()? {
            let line = line(row)?;
            if line.seq > by_count && line.at >= cutoff.as_microsecond() {
                break;
            }
            lines.push(line);
        }
        Ok(lines)
    }
}

/// The head after `lines`, or none without any.
fn chain(before: Head, lines: &[Line]) -> Result<Option<Head>> {
    let mut head = before;
    for line in lines {
        let hash: ChainHash = super::super::convert::parse(&line.hash)?;
        head = follow(head, &line.content(), head.hash, hash).map_err(|found| {
            StoreError::Corrupt(format!(
                "the audit chain is broken, so no segment is closed: {found}"
            ))
        })?;
    }
    Ok((head != before).then_some(head))
}

/// What entries say last of the record of each resource: its hash, or that it is gone.
fn said(lines: &[Line]) -> Result<BTreeMap<String, Option<String>>> {
    let mut said = BTreeMap::new();
    for line in lines {
        if !matches!(line.action.as_str(), "job_succeeded" | "state_recorded") {
            continue;
        }
        let detail: Value =
            serde_json::from_str(&line.detail).map_err(super::super::convert::corrupt)?;
        for change in detail["changes"].as_array().into_iter().flatten() {
            if let (Some(id), Some(hash)) = (change["put"].as_str(), change["spec_hash"].as_str()) {
                said.insert(id.to_owned(), Some(hash.to_owned()));
            } else if let Some(id) = change["remove"].as_str() {
                said.insert(id.to_owned(), None);
            }
        }
    }
    Ok(said)
}

fn keep_said(tx: &Connection, said: &BTreeMap<String, Option<String>>) -> Result<()> {
    for (id, hash) in said {
        match hash {
            Some(hash) => tx
                .prepare_cached(
                    "INSERT INTO audit_said (resource, spec_hash) VALUES (?1, ?2)
                     ON CONFLICT (resource) DO UPDATE SET spec_hash = excluded.spec_hash",
                )?
                .execute([id, hash])?,
            None => tx
                .prepare_cached("DELETE FROM audit_said WHERE resource = ?1")?
                .execute([id])?,
        };
    }
    Ok(())
}

fn line(row: &Row<'_>) -> Result<Line> {
    Ok(Line {
        seq: unsigned(row, "seq")?,
        at: get(row, "at")?,
        actor: get(row, "actor")?,
        action: get(row, "action")?,
        resource: get(row, "resource")?,
        job: get(row, "job")?,
        detail: get(row, "detail")?,
        hash: ChainHash(digest(row, "hash")?).to_string(),
    })
}

/// The last entry that is in a closed segment.
pub(in crate::store) fn closed_upto(connection: &Connection) -> Result<Head> {
    let last = connection
        .prepare_cached("SELECT last, hash FROM audit_segments ORDER BY last DESC LIMIT 1")?
        .query_and_then([], |row| {
            Ok::<_, StoreError>(Head {
                seq: unsigned(row, "last")?,
                hash: ChainHash(digest(row, "hash")?),
            })
        })?
        .next()
        .transpose()?;
    Ok(last.unwrap_or(EMPTY))
}

/// The closed segments, the oldest first.
pub(in crate::store) fn segments(connection: &Connection) -> Result<Vec<Closed>> {
    connection
        .prepare_cached("SELECT first, last, hash FROM audit_segments ORDER BY first")?
        .query_and_then([], |row| {
            Ok(Closed {
                first: unsigned(row, "first")?,
                head: Head {
                    seq: unsigned(row, "last")?,
                    hash: ChainHash(digest(row, "hash")?),
                },
            })
        })?
        .collect()
}
