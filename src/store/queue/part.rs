//! What the payloads of jobs are made of, each part once.

use std::collections::BTreeMap;

use super::super::sql::OptionalExtension;

use super::super::Store;
use super::super::error::Result;

impl Store {
    /// Keeps the parts, JSON by its digest. Those that are there already stay for another day at
    /// least.
    ///
    /// # Errors
    /// When the database fails; then none is kept.
    pub fn keep_parts(&mut self, parts: &BTreeMap<String, String>) -> Result<()> {
        if parts.is_empty() {
            return Ok(());
        }
        self.write(|tx| {
            let mut insert = tx.prepare_cached(
                "INSERT INTO payload_parts (digest, json, kept_in)
                 VALUES (?1, ?2, (SELECT round FROM history))
                 ON CONFLICT (digest) DO UPDATE SET kept_in = excluded.kept_in
                     WHERE kept_in < excluded.kept_in",
            )?;
            for (digest, json) in parts {
                insert.execute([digest, json])?;
            }
            Ok(())
        })
    }

    /// The part with this digest, or none.
    ///
    /// # Errors
    /// When the database fails.
    pub fn part(&self, digest: &str) -> Result<Option<String>> {
        Ok(self
            .connection
            .prepare_cached("SELECT json FROM payload_parts WHERE digest = ?1")?
            .query_row([digest], |row| row.get(0))
            .optional()?)
    }
}
