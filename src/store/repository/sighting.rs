//! Revisions of the fleet repo as the reconcile loop saw them, and where that repo is.

use super::super::sql::{Connection, OptionalExtension, Row, params};
use jiff::Timestamp;
use serde::Serialize;
use serde_json::{Value, json};

use super::super::Store;
use super::super::audit::{NewEntry, append};
use super::super::convert::{
    corrupt, get, moment, moment_option, parsed, parsed_option, signed, unsigned,
};
use super::super::error::Result;
use super::super::record::revision::{self, Revision};
use crate::core::audit::AuditAction;
use crate::core::reconcile::{Cause, Refusal, Verdict};
use crate::core::recorded::PlanId;

/// The fleet repo as the reconcile loop knows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Repository {
    /// Its address and what of it is followed, or the path of a working tree.
    pub source: String,
    /// The revision in force.
    pub accepted: Option<String>,
    pub accepted_at: Option<Timestamp>,
    /// Since when it cannot be reached, with the last error; none when it was the last time.
    pub unreachable: Option<Unreachable>,
}

/// A fleet repo that cannot be reached.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Unreachable {
    pub since: Timestamp,
    /// How often in a row.
    pub failures: u32,
    pub error: String,
}

/// What is to be recorded of one revision.
#[derive(Clone, Debug)]
pub struct NewSighting {
    pub revision: Revision,
    pub verdict: Verdict,
    pub cause: Cause,
    pub refused: Option<Refused>,
    /// A JSON array of diagnostics.
    pub diagnostics: Value,
}

/// Why a revision is not trusted, and because of which commit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Refused {
    pub code: Refusal,
    pub message: String,
    pub commit: Option<String>,
}

/// What became of one revision.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Sighting {
    /// The place in the order of all; the cursor of lists.
    #[serde(skip)]
    pub sequence: u64,
    pub revision: Revision,
    pub verdict: Verdict,
    pub cause: Cause,
    pub refused: Option<Refused>,
    /// A JSON array, as `validate --json` has them.
    pub diagnostics: Value,
    pub seen_at: Timestamp,
    /// The first plan that it led to, and how many jobs that has.
    pub plan_id: Option<PlanId>,
    pub jobs: u64,
    /// When nothing was left to do for it.
    pub converged_at: Option<Timestamp>,
}

impl Store {
    /// What is known about the fleet repo, or none before the first reconcile.
    ///
    /// # Errors
    /// When the database fails.
    pub fn repository(&self) -> Result<Option<Repository>> {
        let row = self
            .connection
            .prepare_cached("SELECT * FROM repository")?
            .query_row([], |row| Ok(repository(row)))
            .optional()?;
        row.transpose()
    }

    /// Notes which fleet repo is followed. Another one than before begins anew: what was in force
    /// of the old one says nothing about it.
    ///
    /// # Errors
    /// When the database fails. Without a difference nothing is written.
    pub fn follow_repository(&mut self, source: &str) -> Result<()> {
        if self
            .repository()?
            .is_some_and(|known| known.source == source)
        {
            return Ok(());
        }
        self.write(|tx| {
            tx.execute(
                "INSERT INTO repository (only, source) VALUES (1, ?1)
                 ON CONFLICT (only) DO UPDATE SET source = excluded.source, accepted = NULL,
                     accepted_at = NULL, unreachable_since = NULL, failures = 0, error = NULL",
                [source],
            )?;
            Ok(())
        })
    }

    /// Notes that the fleet repo cannot be reached, or that it can be again. How often it could
    /// not in a row.
    ///
    /// # Errors
    /// When the database fails. Nothing is written for one that can be reached as before.
    pub fn note_reach(&mut self, error: Option<&str>, now: Timestamp) -> Result<u32> {
        let known = self.repository()?.and_then(|known| known.unreachable);
        if known.is_none() && error.is_none() {
            return Ok(0);
        }
        let failures = error.map_or(0, |_| known.map_or(1, |known| known.failures + 1));
        self.write(|tx| {
            tx.prepare_cached(
                "UPDATE repository SET failures = ?1, error = ?2, unreachable_since =
                     CASE WHEN ?2 IS NULL THEN NULL ELSE coalesce(unreachable_since, ?3) END",
            )?
            .execute(params![failures, error, now.as_microsecond()])?;
            Ok(failures)
        })
    }

    /// Records what became of revisions, in their order; an accepted one is in force from now on.
    /// Nothing is written for a last one that has the same verdict as the last sighting: whatever
    /// is wrong with it was told.
    ///
    /// # Errors
    /// When the database fails. Whether something was written.
    pub fn record_sightings(
        &mut self,
        sightings: &[NewSighting],
        actor: &str,
        now: Timestamp,
    ) -> Result<bool> {
        let Some(newest) = sightings.last() else {
            return Ok(false);
        };
        let last = self.last_sighting()?;
        let is_known = last.is_some_and(|last| {
            last.revision.id == newest.revision.id
                && last.verdict == newest.verdict
                && last.refused == newest.refused
                && last.diagnostics == newest.diagnostics
        });
        let in_force = self.repository()?.and_then(|known| known.accepted);
        let is_in_force = in_force.as_deref() == Some(newest.revision.id.as_str());
        if is_known && (newest.verdict != Verdict::Accepted || is_in_force) {
            return Ok(false);
        }
        self.write(|tx| {
            for sighting in sightings {
                insert(tx, sighting, now)?;
            }
            let revision = &newest.revision.id;
            let action = match newest.verdict {
                Verdict::Accepted => {
                    tx.prepare_cached("UPDATE repository SET accepted = ?1, accepted_at = ?2")?
                        .execute(params![revision, now.as_microsecond()])?;
                    AuditAction::RevisionAccepted
                }
                Verdict::Invalid | Verdict::Refused | Verdict::Superseded => {
                    AuditAction::RevisionRejected
                }
            };
            let detail = json!({
                "revision": revision, "verdict": newest.verdict, "cause": newest.cause,
                "refused": newest.refused,
                "superseded": sightings.len() - 1,
                "errors": newest.diagnostics.as_array().map_or(0, Vec::len),
            });
            let entry = NewEntry {
                actor,
                action,
                resource: None,
                job: None,
                detail,
            };
            append(tx, now, &entry)?;
            Ok(true)
        })
    }

    /// What became of the revision that was seen last, or none.
    ///
    /// # Errors
    /// When the database fails or holds one that cannot be read.
    pub fn last_sighting(&self) -> Result<Option<Sighting>> {
        Ok(self.sightings(None, 1)?.into_iter().next())
    }

    /// What became of revisions, the newest first: at most `limit` of those that came before the
    /// one with the sequence `before`.
    ///
    /// # Errors
    /// When the database fails or holds one that cannot be read.
    pub fn sightings(&self, before: Option<u64>, limit: u32) -> Result<Vec<Sighting>> {
        self.connection
            .prepare_cached(
                "SELECT sightings.*, author, revisions.message AS subject, committed_at, dirty
                 FROM sightings JOIN revisions ON revisions.id = revision
                 WHERE ?1 IS NULL OR sequence < ?1 ORDER BY sequence DESC LIMIT ?2",
            )?
            .query_and_then(params![before.map(signed), limit], sighting)?
            .collect()
    }

    /// What became of a revision when it was seen last, or none when nobody followed the fleet repo then.
    ///
    /// # Errors
    /// When the database fails or holds one that cannot be read.
    pub fn sighting_of(&self, revision: &str) -> Result<Option<Sighting>> {
        self.connection
            .prepare_cached(
                "SELECT sightings.*, author, revisions.message AS subject, committed_at, dirty
                 FROM sightings JOIN revisions ON revisions.id = revision
                 WHERE revision = ?1 ORDER BY sequence DESC LIMIT 1",
            )?
            .query_and_then([revision], sighting)?
            .next()
            .transpose()
    }

    /// Notes the first plan that the revision in force led to.
    ///
    /// # Errors
    /// When the database fails.
    pub fn note_plan(&mut self, revision: &str, plan: PlanId, jobs: usize) -> Result<()> {
        self.write(|tx| {
            tx.prepare_cached(
                "UPDATE sightings SET plan_id = ?2, jobs = ?3 WHERE plan_id IS NULL
                     AND sequence = (SELECT max(sequence) FROM sightings WHERE revision = ?1)",
            )?
            .execute(params![revision, plan.to_string(), jobs as i64])?;
            Ok(())
        })
    }

    /// Notes that nothing is left to do for the revision in force: since its last job has ended,
    /// or since it was seen when it had none. Whether that is news.
    ///
    /// # Errors
    /// When the database fails.
    pub fn note_converged(&mut self, revision: &str) -> Result<bool> {
        let open = "revision = ?1 AND verdict = 'accepted' AND converged_at IS NULL";
        let is_news = self
            .connection
            .prepare_cached(&format!("SELECT 1 FROM sightings WHERE {open}"))?
            .exists([revision])?;
        if !is_news {
            return Ok(false);
        }
        self.write(|tx| {
            tx.prepare_cached(&format!(
                "UPDATE sightings SET converged_at = coalesce(
                     (SELECT max(finished_at) FROM jobs WHERE jobs.plan_id = sightings.plan_id
                          AND finished_at > sightings.seen_at),
                     seen_at) WHERE {open}"
            ))?
            .execute([revision])?;
            Ok(true)
        })
    }
}

fn insert(tx: &Connection, sighting: &NewSighting, now: Timestamp) -> Result<()> {
    revision::save(tx, &sighting.revision, now)?;
    let refused = sighting.refused.as_ref();
    tx.prepare_cached(
        "INSERT INTO sightings (revision, verdict, cause, code, message, at_fault, diagnostics,
             seen_at)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
    )?
    .execute(params![
        sighting.revision.id,
        sighting.verdict.as_str(),
        sighting.cause.as_str(),
        refused.map(|refused| refused.code.as_str()),
        refused.map(|refused| &refused.message),
        refused.map(|refused| &refused.commit),
        sighting.diagnostics.to_string(),
        now.as_microsecond(),
    ])?;
    Ok(())
}

fn repository(row: &Row<'_>) -> Result<Repository> {
    let since = moment_option(row, "unreachable_since")?;
    let unreachable = match since {
        Some(since) => Some(Unreachable {
            since,
            failures: get(row, "failures")?,
            error: get(row, "error")?,
        }),
        None => None,
    };
    Ok(Repository {
        source: get(row, "source")?,
        accepted: get(row, "accepted")?,
        accepted_at: moment_option(row, "accepted_at")?,
        unreachable,
    })
}

fn sighting(row: &Row<'_>) -> Result<Sighting> {
    let diagnostics: String = get(row, "diagnostics")?;
    let refused = match parsed_option::<Refusal>(row, "code")? {
        Some(code) => Some(Refused {
            code,
            message: get(row, "message")?,
            commit: get(row, "at_fault")?,
        }),
        None => None,
    };
    Ok(Sighting {
        sequence: unsigned(row, "sequence")?,
        revision: Revision {
            id: get(row, "revision")?,
            author: get(row, "author")?,
            message: get(row, "subject")?,
            committed_at: moment_option(row, "committed_at")?,
            dirty: get(row, "dirty")?,
        },
        verdict: parsed(row, "verdict")?,
        cause: parsed(row, "cause")?,
        refused,
        diagnostics: serde_json::from_str(&diagnostics).map_err(corrupt)?,
        seen_at: moment(row, "seen_at")?,
        plan_id: parsed_option(row, "plan_id")?,
        jobs: unsigned(row, "jobs")?,
        converged_at: moment_option(row, "converged_at")?,
    })
}
