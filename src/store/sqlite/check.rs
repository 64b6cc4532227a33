//! Everything that can be wrong with a database, looked at without changing anything.

use std::path::{Path, PathBuf};

use rusqlite::Connection;
use serde::Serialize;

use super::super::audit::verify;
use super::super::error::{Result, StoreError};
use super::super::queue::pause::Pause;
use super::super::{Store, Verification};
use super::invariant::{INTEGRITY, QUERIES, REFERENCES, texts};
use crate::core::audit::EMPTY;

/// What of a database was looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum CheckedPart {
    /// The file itself: pages, indexes, constraints.
    Integrity,
    /// Rows that name others.
    References,
    /// The chain of the audit record.
    Audit,
    /// What the queue guarantees, see `docs/reliability.md`.
    Record,
}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Problem {
    pub part: CheckedPart,
    pub message: String,
}

/// What a check found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Checkup {
    pub path: PathBuf,
    pub schema: u32,
    pub bytes: u64,
    pub audit: Verification,
    pub paused: Option<Pause>,
    pub problems: Vec<Problem>,
}

impl Store {
    /// Reads the whole database and says what is wrong with it. Others may write meanwhile.
    ///
    /// # Errors
    /// When it cannot be read at all; damage that is found is a result, not an error.
    pub fn check(&self) -> Result<Checkup> {
        let connection = &self.connection;
        let mut problems = damage(connection)?;
        let audit = match self.verify_audit(None) {
            Ok(audit) => {
                let broken = audit.broken.as_ref().map(|broken| Problem {
                    part: CheckedPart::Audit,
                    message: broken.to_string(),
                });
                problems.extend(broken);
                audit
            }
            Err(error) => {
                problems.push(unreadable(CheckedPart::Audit, error)?);
                Verification {
                    head: EMPTY,
                    closed: 0,
                    segments: 0,
                    noted: None,
                    broken: None,
                }
            }
        };
        for (invariant, query) in QUERIES {
            let named = texts(connection, query).map(|messages| {
                messages
                    .into_iter()
                    .map(|message| format!("{invariant}: {message}"))
                    .collect()
            });
            problems.extend(gather(CheckedPart::Record, named)?);
        }
        let bytes: i64 = connection.query_row(
            "SELECT page_count * page_size FROM pragma_page_count, pragma_page_size",
            [],
            |row| row.get(0),
        )?;
        Ok(Checkup {
            path: self.path.clone(),
            schema: super::open::schema_of(connection)?,
            bytes: bytes.unsigned_abs(),
            audit,
            paused: self.pause()?,
            problems,
        })
    }
}

/// What is wrong with the file: what makes it useless whatever it says.
pub(super) fn damage(connection: &Connection) -> Result<Vec<Problem>> {
    let mut problems = gather(CheckedPart::Integrity, texts(connection, INTEGRITY))?;
    problems.extend(gather(
        CheckedPart::References,
        texts(connection, REFERENCES),
    )?);
    Ok(problems)
}

/// Refuses a copy that is damaged or whose audit chain is broken.
pub(super) fn require_sound(connection: &Connection, path: &Path) -> Result<()> {
    let mut found: Vec<String> = damage(connection)?
        .into_iter()
        .map(|problem| problem.message)
        .collect();
    if found.is_empty()
        && let Err(broken) = verify(connection)?
    {
        found.push(format!("its audit chain is broken: {broken}"));
    }
    match found.first() {
        None => Ok(()),
        Some(first) => Err(StoreError::BadBackup {
            path: path.to_owned(),
            why: match found.len() {
                1 => first.clone(),
                count => format!("{first}, and {} more", count - 1),
            },
        }),
    }
}

fn gather(part: CheckedPart, found: Result<Vec<String>>) -> Result<Vec<Problem>> {
    match found {
        Ok(messages) => Ok(messages
            .into_iter()
            .map(|message| Problem { part, message })
            .collect()),
        Err(error) => Ok(vec![unreadable(part, error)?]),
    }
}

/// Damage that keeps the rest from being looked at.
fn unreadable(part: CheckedPart, error: StoreError) -> Result<Problem> {
    match error {
        StoreError::Corrupt(why) => Ok(Problem {
            part,
            message: format!("cannot be read: {why}"),
        }),
        other => Err(other),
    }
}
