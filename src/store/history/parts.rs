//! Taking away parts of payloads and ciphertexts that no job names any more.
//!
//! Both are kept before the jobs that name them are queued. So each carries the number of the round
//! in which it was kept last, a round is a day at least, and what goes at the end of a round was
//! kept last before it began.

use std::collections::HashSet;

use super::super::sql::{OptionalExtension, params};
use jiff::{SignedDuration, Timestamp};

use super::super::Store;
use super::super::convert::get;
use super::super::error::Result;
use crate::crash_point::reach;

/// The shortest round.
const ROUND: SignedDuration = SignedDuration::from_hours(24);
/// It began before `?1`; a clock that was set back to `?2` must not end the rounds.
const IS_DUE: &str = "round_at <= ?1 OR round_at > ?2";
/// The length of a digest in hexadecimal.
const DIGEST: usize = 64;

/// A walk over all payloads, in pages.
#[derive(Debug, Default)]
pub struct Scan {
    after: i64,
    named: Named,
}

/// All that looks like a digest in what jobs and channels say.
#[derive(Debug, Default)]
pub struct Named(HashSet<[u8; DIGEST]>);

impl Scan {
    /// What was found.
    #[must_use]
    pub fn named(self) -> Named {
        self.named
    }
}

impl Named {
    /// Takes in each string in `json` that could be a digest: too many keep too much, nothing else.
    fn take_in(&mut self, json: &str) {
        for text in json.split('"') {
            if let Ok(digest) = <[u8; DIGEST]>::try_from(text.as_bytes()) {
                self.0.insert(digest);
            }
        }
    }

    fn has(&self, digest: &str) -> bool {
        digest
            .as_bytes()
            .try_into()
            .is_ok_and(|digest: [u8; DIGEST]| self.0.contains(&digest))
    }
}

impl Store {
    /// The number of the next round when this one has lasted a day, or none. It is to be begun when
    /// all that goes before it is gone.
    ///
    /// # Errors
    /// When the database fails.
    pub fn next_round(&self, now: Timestamp) -> Result<Option<i64>> {
        let query = format!("SELECT round + 1 FROM history WHERE {IS_DUE}");
        Ok(self
            .connection
            .prepare_cached(&query)?
            .query_row(due(now), |row| row.get(0))
            .optional()?)
    }

    /// Begins the next round when this one has lasted a day; whether it did.
    ///
    /// # Errors
    /// When the database fails.
    pub fn begin_round(&mut self, now: Timestamp) -> Result<bool> {
        self.write(|tx| {
            let query =
                format!("UPDATE history SET round = round + 1, round_at = ?2 WHERE {IS_DUE}");
            let begun = tx.prepare_cached(&query)?.execute(due(now))?;
            reach("history: round begun");
            Ok(begun > 0)
        })
    }

    /// Takes in the next `limit` payloads, and at last what else names ciphertexts; whether there
    /// are more.
    ///
    /// # Errors
    /// When the database fails.
    pub fn scan(&self, scan: &mut Scan, limit: usize) -> Result<bool> {
        let mut statement = self.connection.prepare_cached(
            "SELECT rowid, payload FROM job_payloads WHERE rowid > ?1 ORDER BY rowid LIMIT ?2",
        )?;
        let mut rows = statement.query(params![scan.after, limit as i64])?;
        let mut found = 0;
        while let Some(row) = rows.next()? {
            scan.after = row.get(0)?;
            let payload = row
                .get_ref(1)?
                .as_str()
                .map_err(super::super::convert::corrupt)?;
            scan.named.take_in(payload);
            found += 1;
        }
        if found == limit {
            return Ok(true);
        }
        let mut statement = self
            .connection
            .prepare_cached("SELECT secret_digest FROM channels WHERE secret_digest IS NOT NULL")?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            let digest: String = get(row, "secret_digest")?;
            scan.named.take_in(&digest);
        }
        Ok(false)
    }

    /// The parts of payloads, and then the ciphertexts, that nothing names and that were not kept
    /// since the round before `round` began, where `round` is the one that begins next.
    ///
    /// # Errors
    /// When the database fails.
    pub fn unnamed(&self, named: &Named, round: i64) -> Result<[Vec<String>; 2]> {
        let of = |table: &str| -> Result<Vec<String>> {
            let query = format!("SELECT digest FROM {table} WHERE kept_in < ?1");
            let mut statement = self.connection.prepare_cached(&query)?;
            let rows = statement.query_map([round - 1], |row| row.get::<_, String>(0))?;
            let mut digests = Vec::new();
            for digest in rows {
                let digest = digest?;
                if !named.has(&digest) {
                    digests.push(digest);
                }
            }
            Ok(digests)
        };
        Ok([of("payload_parts")?, of("secret_blobs")?])
    }

    /// Takes parts of payloads and ciphertexts away, in one transaction; how many. What was kept
    /// again since it was found stays.
    ///
    /// # Errors
    /// When the database fails.
    pub fn remove_unnamed(
        &mut self,
        parts: &[String],
        blobs: &[String],
        round: i64,
    ) -> Result<u64> {
        if parts.is_empty() && blobs.is_empty() {
            return Ok(0);
        }
        self.write(|tx| {
            let mut removed = 0;
            for (table, digests) in [("payload_parts", parts), ("secret_blobs", blobs)] {
                let query = format!("DELETE FROM {table} WHERE digest = ?1 AND kept_in < ?2");
                let mut statement = tx.prepare_cached(&query)?;
                for digest in digests {
                    removed += statement.execute(params![digest, round - 1])? as u64;
                    reach("history: part removed");
                }
            }
            Ok(removed)
        })
    }
}

/// The values of [`IS_DUE`].
fn due(now: Timestamp) -> [i64; 2] {
    let due = now.saturating_sub(ROUND).unwrap_or(Timestamp::MIN);
    [due.as_microsecond(), now.as_microsecond()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digests_are_found_wherever_they_stand() {
        let digest = "ab".repeat(32);
        let mut named = Named::default();
        named.take_in(&format!(
            r#"{{"parts":{{"fleet":"{digest}"}},"x":"{digest}0"}}"#
        ));
        assert!(named.has(&digest));
        assert!(!named.has(&"cd".repeat(32)));
        assert_eq!(named.0.len(), 1);
        named.take_in(&"ef".repeat(32));
        assert!(named.has(&"ef".repeat(32)));
    }
}
