//! A backup in the place of the database.
//!
//! All that can fail is done on a copy in a directory beside the database: bringing it to this
//! program's schema, checking it, settling what was running, raising the tokens, pausing it.
//! Then one rename puts it in place, so that a death at any moment leaves one of the two
//! databases, whole. See `docs/decisions/0009-backup-and-restore.md`.

use std::fs::{self, File, Permissions};
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, params};
use serde::Serialize;
use serde_json::json;

use super::super::access::session;
use super::super::audit::{NewEntry, append};
use super::super::error::{Result, StoreError};
use super::super::history::close::{Closed, segments};
use super::super::history::segment::directory_of;
use super::super::queue::pause;
use super::super::{LeasedJob, SCHEMA, Store, audit};
use super::backup::keep_segments;
use super::copy::{copy, make_single, sync, sync_directory_of};
use super::open::{self, Access, beside};
use super::{check, head, presence};
use crate::core::audit::{AuditAction, Head};
use crate::core::recorded::JobId;
use crate::crash_point::reach;

/// How long commands that only look may hold up a restore.
const PATIENCE: Duration = Duration::from_secs(3);
/// What the tokens are raised by at least, where the clock cannot tell: more claims than a
/// control plane makes in years.
const LEAP: i64 = 1 << 32;
/// Where the copy is worked on.
const STAGING: &str = ".pressluft-restore-";

/// A database that nobody else has open, and nobody opens, as long as this lives.
#[derive(Debug)]
pub struct Exclusive {
    path: PathBuf,
    _lock: File,
}

/// What a restore did.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Restored {
    /// Where the replaced database is now; none when there was none.
    pub kept: Option<PathBuf>,
    /// The end of the audit chain of the backup.
    pub backup: Head,
    /// The moment of the last entry of the backup: what came later is not known.
    pub backup_at: Option<Timestamp>,
    /// The end of the audit chain of the replaced database, where it could be read.
    pub replaced: Option<Head>,
    /// The end of the audit chain now.
    pub head: Head,
    /// The fencing token that all later ones are beyond.
    pub token: u64,
    /// Jobs that were running when the backup was made.
    pub interrupted: Vec<JobId>,
    pub queued: u64,
    /// Closed segments of its audit chain that are missing or damaged both beside the backup and
    /// beside the database: until they are put back, the chain is not whole.
    pub missing_segments: u64,
}

/// What of the replaced database matters to the restored one.
#[derive(Clone, Copy, Debug, Default)]
struct Past {
    head: Option<Head>,
    token: i64,
    last_at: i64,
}

impl Exclusive {
    /// Takes the database at `path` for this process alone; it need not be there.
    ///
    /// # Errors
    /// [`StoreError::InUse`] with the processes that have it open.
    pub fn take(path: &Path) -> Result<Self> {
        Ok(Self {
            path: path.to_owned(),
            _lock: presence::exclusive(path, PATIENCE)?,
        })
    }

    /// The jobs that the database holds as running; none when it is not there, or so broken
    /// that it cannot say.
    ///
    /// # Errors
    /// When the disk fails.
    pub fn leased_jobs(&self) -> Result<Vec<LeasedJob>> {
        let read = || {
            let connection = open::connect_to_read(&self.path)?;
            Store::new(connection, &self.path, None).leased_jobs()
        };
        if !self.path.exists() {
            return Ok(Vec::new());
        }
        match read() {
            Err(error) if !is_broken(&error) => Err(error.located(&self.path)),
            Err(_) => Ok(Vec::new()),
            Ok(held) => Ok(held),
        }
    }

    /// Puts the backup `file` in the place of the database, paused and with raised tokens; the
    /// replaced one is kept beside it.
    ///
    /// # Errors
    /// [`StoreError::Foreign`], [`StoreError::Newer`] and [`StoreError::BadBackup`] for a file
    /// that cannot be restored, and those of the disk. Then nothing has changed.
    pub fn replace_with(&self, file: &Path, actor: &str, now: Timestamp) -> Result<Restored> {
        if !file.exists() {
            return Err(StoreError::Missing(file.to_owned()));
        }
        if is_same_file(file, &self.path) {
            return Err(StoreError::OwnFile(file.to_owned()));
        }
        let wrong = |source| StoreError::Write {
            path: self.path.clone(),
            source,
        };
        self.remove_leftovers().map_err(wrong)?;
        let staging = tempfile::Builder::new()
            .prefix(STAGING)
            .tempdir_in(self.directory())
            .map_err(wrong)?;
        let staged = staging.path().join("pressluft.db");
        reach("restore: begun");
        let past = self.past()?;
        let (mut restored, segments) =
            prepare(file, &staged, past, actor, now).map_err(|error| error.located(&self.path))?;
        // They are never changed and have names of their own: those of another past stay beside.
        let (from, to) = (directory_of(file), directory_of(&self.path));
        restored.missing_segments = keep_segments(&segments, &from, &to)?;
        reach("restore: segments kept");
        sync(&staged).map_err(wrong)?;
        reach("restore: prepared");
        restored.kept = self.keep(now)?;
        // Gone before the databases change places: it may be behind, never of another chain.
        head::forget(&self.path).map_err(wrong)?;
        sync_directory_of(&self.path).map_err(wrong)?;
        reach("restore: head forgotten");
        fs::rename(&staged, &self.path).map_err(wrong)?;
        reach("restore: in place");
        sync_directory_of(&self.path).map_err(wrong)?;
        head::note(&self.path, restored.head);
        reach("restore: head noted");
        Ok(restored)
    }

    fn directory(&self) -> &Path {
        self.path
            .parent()
            .filter(|parent| !parent.as_os_str().is_empty())
            .unwrap_or(Path::new("."))
    }

    /// Removes what restores left that were killed.
    fn remove_leftovers(&self) -> io::Result<()> {
        for entry in fs::read_dir(self.directory())? {
            let entry = entry?;
            if entry.file_name().to_string_lossy().starts_with(STAGING) {
                fs::remove_dir_all(entry.path())?;
            }
        }
        Ok(())
    }

    fn past(&self) -> Result<Past> {
        if !self.path.exists() {
            return Ok(Past::default());
        }
        let read = || {
            let connection = open::connect_to_read(&self.path)?;
            Ok(Past {
                head: Some(audit::head(&connection)?),
                token: token(&connection)?,
                last_at: audit::last_at(&connection)?,
            })
        };
        match read() {
            Err(error) if !is_broken(&error) => Err(error),
            Err(error) => {
                tracing::warn!(%error, "the database that is replaced cannot be read");
                Ok(Past::default())
            }
            Ok(past) => Ok(past),
        }
    }

    /// Gives the database a second name with the time in it, under which it stays.
    fn keep(&self, now: Timestamp) -> Result<Option<PathBuf>> {
        if !self.path.metadata().is_ok_and(|file| file.len() > 0) {
            return Ok(None);
        }
        let wrong = |source| StoreError::Write {
            path: self.path.clone(),
            source,
        };
        // Only one that opens takes its log in. SQLite would remove the log of another.
        let log = match open::connect_to_read(&self.path)
            .map(drop)
            .and_then(|()| self.settle_log())
        {
            Ok(()) => None,
            Err(error) if is_broken(&error) => Some(beside(&self.path, "-wal")),
            Err(error) => return Err(error.located(&self.path)),
        };
        reach("restore: log settled");
        let name = format!(".replaced-{}", now.strftime("%Y%m%dT%H%M%SZ"));
        let kept = second_name(&self.path, &beside(&self.path, &name)).map_err(wrong)?;
        // It may be from a time when others could read it.
        fs::set_permissions(&kept, Permissions::from_mode(0o600)).map_err(wrong)?;
        reach("restore: old one kept");
        // Only beside a database that is too broken to take its log in: a log must never meet a
        // database that it is not of.
        if let Some(log) = log.filter(|log| log.exists()) {
            second_name(&log, &beside(&kept, "-wal")).map_err(wrong)?;
            fs::remove_file(log).map_err(wrong)?;
        }
        let index = beside(&self.path, "-shm");
        if index.exists() {
            fs::remove_file(index).map_err(wrong)?;
        }
        Ok(Some(kept))
    }

    /// Carries the write-ahead log into the database, so that it is one file.
    fn settle_log(&self) -> Result<()> {
        let connection = open::connect(&self.path, Access::Write)?;
        open::check_owner(&connection, &self.path)?;
        make_single(&connection)?;
        connection.close().map_err(|(_, error)| error.into())
    }
}

/// Makes of the backup what is put in place.
fn prepare(
    file: &Path,
    staged: &Path,
    past: Past,
    actor: &str,
    now: Timestamp,
) -> Result<(Restored, Vec<Closed>)> {
    let source = open::connect_to_read(file).map_err(|error| error.located(file))?;
    let found = open::schema_of(&source)?;
    match found {
        0 => return Err(StoreError::Foreign(file.to_owned())),
        1..=SCHEMA => {}
        _ => {
            return Err(StoreError::Newer {
                found,
                supported: SCHEMA,
            });
        }
    }
    // Before the migration: what is damaged must not be worked on.
    check::require_sound(&source, file)?;
    copy(&source, staged)?;
    drop(source);
    reach("restore: copied");
    let mut store = Store::open_present(staged, None)?;
    check::require_sound(&store.connection, file)?;
    let backup = store.audit_head()?;
    let last_at = audit::last_at(&store.connection)?;
    let mut interrupted = Vec::new();
    for held in store.leased_jobs()? {
        let message = "it was running when the backup was made that was restored";
        store.mark_interrupted(held.job.id, held.token, message, now, actor, now)?;
        interrupted.push(held.job.id);
    }
    reach("restore: jobs settled");
    let known = past.token.max(token(&store.connection)?);
    let raised = beyond(known, past.last_at.max(last_at), now);
    let name = file
        .file_name()
        .unwrap_or(file.as_os_str())
        .to_string_lossy();
    store.write(|tx| {
        tx.execute(
            "UPDATE counters SET value = ?1 WHERE name = 'fencing_token'",
            [raised],
        )?;
        session::end_everybodys(tx)?;
        pause::set(tx, &format!("the backup `{name}` was restored"), now)?;
        let detail = json!({
            "file": name, "backup": backup, "replaced": past.head, "fencing_token": raised,
            "interrupted": interrupted.len(),
        });
        let action = AuditAction::DatabaseRestored;
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
    })?;
    reach("restore: paused");
    let restored = Restored {
        kept: None,
        backup,
        backup_at: (last_at > 0)
            .then(|| super::super::convert::timestamp(last_at))
            .transpose()?,
        replaced: past.head,
        head: store.audit_head()?,
        token: raised.unsigned_abs(),
        interrupted,
        queued: queued(&store.connection)?,
        missing_segments: 0,
    };
    let segments = segments(&store.connection)?;
    make_single(&store.connection)?;
    Ok((restored, segments))
}

/// A token that no claim of any past of this control plane has had, known or not.
///
/// Tokens grow by one with each claim, and a claim takes far longer than a microsecond. So the
/// number of microseconds since 1970 is beyond every token that was ever handed out, in any
/// copy, also after earlier restores, as long as clocks are right. For one that is set back
/// there are the tokens and times that are known, with a leap.
fn beyond(known: i64, last_at: i64, now: Timestamp) -> i64 {
    now.as_microsecond()
        .max(last_at)
        .max(known.saturating_add(LEAP))
}

fn token(connection: &Connection) -> Result<i64> {
    let value: Option<i64> = connection
        .query_row(
            "SELECT value FROM counters WHERE name = 'fencing_token'",
            [],
            |row| row.get(0),
        )
        .optional()?;
    value.ok_or_else(|| StoreError::Corrupt("it has no counter of fencing tokens".to_owned()))
}

fn queued(connection: &Connection) -> Result<u64> {
    let count: i64 = connection.query_row(
        "SELECT count(*) FROM jobs WHERE status = 'queued'",
        params![],
        |row| row.get(0),
    )?;
    Ok(count.unsigned_abs())
}

/// Whether the error says that a database cannot be read any more, and not that the disk or
/// somebody else is in the way.
fn is_broken(error: &StoreError) -> bool {
    matches!(
        error,
        StoreError::Corrupt(_) | StoreError::Foreign(_) | StoreError::Database(_)
    )
}

/// Gives `path` the further name `name`, or one like it that is free.
fn second_name(path: &Path, name: &Path) -> io::Result<PathBuf> {
    for number in 1.. {
        let name = match number {
            1 => name.to_owned(),
            number => beside(name, &format!("-{number}")),
        };
        match fs::hard_link(path, &name) {
            Ok(()) => return Ok(name),
            // A restore that was killed has come this far already.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                if is_same_file(path, &name) {
                    return Ok(name);
                }
            }
            Err(error) => return Err(error),
        }
    }
    Err(io::ErrorKind::AlreadyExists.into())
}

fn is_same_file(one: &Path, other: &Path) -> bool {
    match (one.metadata(), other.metadata()) {
        (Ok(one), Ok(other)) => one.dev() == other.dev() && one.ino() == other.ino(),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn moment(micros: i64) -> Timestamp {
        Timestamp::from_microsecond(micros).expect("a moment")
    }

    #[test]
    fn tokens_are_raised_beyond_every_past() {
        let now = moment(1_790_000_000_000_000);
        // The usual case: beyond what the lost hours handed out, whatever that was.
        let first = beyond(70_000, 1_780_000_000_000_000, now);
        assert_eq!(first, now.as_microsecond());
        // The same backup once more, after claims that went on from the first restore.
        let later = moment(now.as_microsecond() + 60_000_000);
        assert!(beyond(70_000, 1_780_000_000_000_000, later) > first + 10_000_000);
        // A clock that was set back by years.
        let wrong = moment(1_000_000_000_000_000);
        assert_eq!(
            beyond(first + 12, now.as_microsecond(), wrong),
            first + 12 + LEAP
        );
        // Exact in JSON and in every language that reads it as a float.
        assert!(first + 12 + LEAP < 1 << 53);
    }
}
