//! Taking away what else only grows: revisions and what became of them, messages, sessions, and
//! what was known of resources that are gone.

use super::super::sql::{Connection, params};
use jiff::{SignedDuration, Timestamp};

use super::super::Store;
use super::super::convert::signed;
use super::super::error::Result;
use crate::core::history::{HistoryKind, HistoryPolicy, SMALLEST_COUNT};
use crate::crash_point::reach;

/// One thing that is taken away: a name for people, which rows of a table, and by which limits.
struct Rule {
    name: &'static str,
    kind: Option<HistoryKind>,
    /// Selects the keys of rows that ended before `?1` or are not among the newest `?2`.
    find: &'static str,
    /// Takes the row with the key `?1` away.
    remove: &'static str,
    /// What has to hold of a row when it is found, and still when it is taken away.
    unless_kept: &'static str,
    /// The order of those that are found.
    order: &'static str,
}

/// Nothing names the revision. A new column that refers to revisions belongs here, too; a test
/// compares.
const UNNAMED: &str = "NOT EXISTS (SELECT 1 FROM resources WHERE resources.revision = revisions.id)
    AND NOT EXISTS (SELECT 1 FROM plans WHERE plans.revision = revisions.id)
    AND NOT EXISTS (SELECT 1 FROM jobs WHERE jobs.revision = revisions.id)
    AND NOT EXISTS (SELECT 1 FROM targets WHERE targets.revision = revisions.id)
    AND NOT EXISTS (SELECT 1 FROM targets WHERE targets.attempted = revisions.id)
    AND NOT EXISTS (SELECT 1 FROM sightings WHERE sightings.revision = revisions.id)
    AND NOT EXISTS (SELECT 1 FROM repository WHERE repository.accepted = revisions.id)";

/// In this order: what refers to a row goes before it.
const RULES: &[Rule] = &[
    Rule {
        name: "sightings",
        kind: Some(HistoryKind::Revisions),
        // The last ones, and the last of the revision in force, tell how things stand.
        find: "SELECT sequence FROM sightings
            WHERE (seen_at < ?1 OR sequence <= coalesce((SELECT sequence FROM sightings
                    ORDER BY sequence DESC LIMIT 1 OFFSET ?2), 0))
              AND sequence <= coalesce((SELECT sequence FROM sightings
                    ORDER BY sequence DESC LIMIT 1 OFFSET ?4), 0)
              AND sequence <> coalesce((SELECT max(own.sequence) FROM sightings AS own
                    WHERE own.revision = (SELECT accepted FROM repository)), 0)",
        remove: "DELETE FROM sightings WHERE sequence = ?1",
        unless_kept: "1",
        order: "sequence",
    },
    Rule {
        name: "revisions",
        kind: Some(HistoryKind::Revisions),
        find: "SELECT id FROM revisions INDEXED BY revisions_by_sight
            WHERE (first_seen_at < ?1 OR first_seen_at < coalesce((SELECT first_seen_at
                    FROM revisions ORDER BY first_seen_at DESC LIMIT 1 OFFSET ?2), 0))
              AND ?4 >= 0",
        remove: "DELETE FROM revisions WHERE id = ?1",
        unless_kept: UNNAMED,
        order: "first_seen_at",
    },
    Rule {
        name: "messages",
        kind: Some(HistoryKind::Messages),
        find: "SELECT id FROM outbox INDEXED BY outbox_by_end
            WHERE ?4 >= 0 AND (ended_at < ?1 OR id <= coalesce((SELECT id FROM outbox
                    ORDER BY id DESC LIMIT 1 OFFSET ?2), 0))",
        remove: "DELETE FROM outbox WHERE id = ?1",
        unless_kept: "ended_at IS NOT NULL",
        order: "ended_at",
    },
    Rule {
        name: "sessions",
        kind: None,
        find: "SELECT token_hash FROM sessions INDEXED BY sessions_by_end
            WHERE expires_at < ?1 AND ?2 >= 0 AND ?4 >= 0",
        remove: "DELETE FROM sessions WHERE token_hash = ?1",
        unless_kept: "1",
        order: "expires_at",
    },
    Rule {
        name: "drift",
        kind: None,
        find: "SELECT resource FROM drift WHERE ?1 > 0 AND ?2 >= 0 AND ?4 >= 0",
        remove: "DELETE FROM drift WHERE resource = ?1",
        unless_kept: "NOT EXISTS (SELECT 1 FROM resources WHERE resources.id = drift.resource)",
        order: "resource",
    },
    Rule {
        name: "looks",
        kind: None,
        find: "SELECT DISTINCT resource FROM looks WHERE ?1 > 0 AND ?2 >= 0 AND ?4 >= 0",
        remove: "DELETE FROM looks WHERE resource = ?1",
        unless_kept: "NOT EXISTS (SELECT 1 FROM resources WHERE resources.id = looks.resource)",
        order: "resource",
    },
];

/// How many of the last revisions stay in any case: what is told is compared with them.
const LAST_SIGHTINGS: u64 = SMALLEST_COUNT;

impl Store {
    /// Takes away what else is beyond the limits, of one kind at most `limit` rows in one
    /// transaction; how many, and of what. Nothing when all is within them.
    ///
    /// # Errors
    /// When the database fails.
    pub fn remove_rest(
        &mut self,
        policy: &HistoryPolicy,
        limit: usize,
        now: Timestamp,
    ) -> Result<Option<(&'static str, u64)>> {
        for rule in RULES {
            let (before, count) = match rule.kind {
                Some(kind) => (policy.cutoff(kind, now), policy.of(kind).count),
                None => (now, u64::MAX),
            };
            let keys = find(&self.connection, rule, before, count, limit)?;
            if keys.is_empty() {
                continue;
            }
            let removed = self.write(|tx| {
                let mut removed = 0;
                let query = format!("{} AND {}", rule.remove, rule.unless_kept);
                let mut statement = tx.prepare_cached(&query)?;
                for key in &keys {
                    removed += statement.execute([key])? as u64;
                    reach("history: row removed");
                }
                Ok(removed)
            })?;
            // Others were faster, or something names them by now: no reason to try it for ever.
            if removed > 0 {
                return Ok(Some((rule.name, removed)));
            }
        }
        Ok(None)
    }
}

fn find(
    connection: &Connection,
    rule: &Rule,
    before: Timestamp,
    count: u64,
    limit: usize,
) -> Result<Vec<super::super::sql::Value>> {
    let values = params![
        before.as_microsecond(),
        signed(count),
        limit as i64,
        signed(LAST_SIGHTINGS)
    ];
    let query = format!(
        "{} AND {} ORDER BY {} LIMIT ?3",
        rule.find, rule.unless_kept, rule.order
    );
    let mut statement = connection.prepare_cached(&query)?;
    let rows = statement.query_map(values, |row| row.get(0))?;
    Ok(rows.collect::<super::super::sql::Result<_>>()?)
}

impl Store {
    /// Whether all jobs were looked at longer ago than `span`. A clock that was set back does not
    /// keep them from being looked at.
    ///
    /// # Errors
    /// When the database fails.
    pub fn sweep_is_due(&self, span: SignedDuration, now: Timestamp) -> Result<bool> {
        let due = now.saturating_sub(span).unwrap_or(Timestamp::MIN);
        Ok(self
            .connection
            .prepare_cached("SELECT 1 FROM history WHERE swept_at <= ?1 OR swept_at > ?2")?
            .exists([due.as_microsecond(), now.as_microsecond()])?)
    }

    /// Notes that all jobs were looked at.
    ///
    /// # Errors
    /// When the database fails.
    pub fn note_swept(&mut self, now: Timestamp) -> Result<()> {
        self.write(|tx| {
            tx.prepare_cached("UPDATE history SET swept_at = ?1")?
                .execute([now.as_microsecond()])?;
            reach("history: swept");
            Ok(())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_refers_to_a_revision_keeps_it() {
        let directory = tempfile::tempdir().expect("directory");
        let store = Store::open(&directory.path().join("state.db")).expect("opened");
        let found: Vec<String> = store
            .connection
            .prepare(
                "SELECT tables.name || '.' || keys.\"from\" FROM sqlite_schema AS tables
                 JOIN pragma_foreign_key_list(tables.name) AS keys
                 WHERE tables.type = 'table' AND keys.\"table\" = 'revisions'",
            )
            .and_then(|mut rows| rows.query_map([], |row| row.get(0))?.collect())
            .expect("read");
        for column in &found {
            let condition = format!("{column} = revisions.id");
            assert!(UNNAMED.contains(&condition), "{column}");
        }
        assert_eq!(UNNAMED.matches("NOT EXISTS").count(), found.len());
    }
}
