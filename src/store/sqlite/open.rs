//! Opening the database file: permissions, pragmas, migrations, waiting for other processes.

use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, OpenFlags, TransactionBehavior};

use super::super::Store;
use super::super::error::{Result, StoreError};
use super::presence;
use crate::crash_point::reach;

/// Marks the file as ours: "PLFT".
const APPLICATION_ID: i32 = 0x504c_4654;

/// Append-only: the migration at index `n` leads from schema `n` to schema `n + 1`.
const MIGRATIONS: &[&str] = &[
    include_str!("../migrations/0001.sql"),
    include_str!("../migrations/0002.sql"),
    include_str!("../migrations/0003.sql"),
    include_str!("../migrations/0004.sql"),
    include_str!("../migrations/0005.sql"),
    include_str!("../migrations/0006.sql"),
    include_str!("../migrations/0007.sql"),
    include_str!("../migrations/0008.sql"),
    include_str!("../migrations/0009.sql"),
    include_str!("../migrations/0010.sql"),
    include_str!("../migrations/0011.sql"),
];

/// The schema that this program reads and writes.
pub const SCHEMA: u32 = MIGRATIONS.len() as u32;

/// How often a statement is tried again after a short wait while another process holds the
/// lock. Under load it is free many times in a second, and who looks seldom starves.
const SHORT_TRIES: i32 = 1_000;
/// How often in all; with the waits below this is about 30 s.
const BUSY_TRIES: i32 = 2_800;

/// How long one that must be alone waits for commands that only look.
const ALONE_WITHIN: Duration = Duration::from_secs(5);

impl Store {
    /// The database at `path`, made or migrated where needed, for reading and writing.
    ///
    /// The file gets mode 0600, a directory that is missing gets 0700.
    ///
    /// # Errors
    /// [`StoreError::Newer`] for the database of a newer program, [`StoreError::Foreign`] for
    /// one of another program, [`StoreError::Create`] when the file cannot be made,
    /// [`StoreError::InUse`] while it is being replaced.
    pub fn open(path: &Path) -> Result<Self> {
        make_file(path).map_err(|source| StoreError::Create {
            path: path.to_owned(),
            source,
        })?;
        reach("open: file made");
        let presence = presence::shared(path)?;
        Self::open_present(path, Some(presence)).map_err(|error| error.located(path))
    }

    /// The same for one that must be alone: nobody else opens the database as long as this does.
    ///
    /// # Errors
    /// [`StoreError::InUse`] with who has it open after a short wait, and those of [`Store::open`].
    pub fn open_alone(path: &Path) -> Result<Self> {
        make_file(path).map_err(|source| StoreError::Create {
            path: path.to_owned(),
            source,
        })?;
        let presence = presence::exclusive(path, ALONE_WITHIN)?;
        Self::open_present(path, Some(presence)).map_err(|error| error.located(path))
    }

    /// The same for one that knows already that nobody replaces the file meanwhile.
    pub(super) fn open_present(path: &Path, presence: Option<File>) -> Result<Self> {
        let mut connection = connect_to_write(path)?;
        migrate(&mut connection)?;
        reach("open: migrated");
        Ok(Self::new(connection, path, presence))
    }

    /// The database at `path` for reading only; nothing is made or migrated.
    ///
    /// # Errors
    /// [`StoreError::Missing`] when there is no file, [`StoreError::Older`] when it has to be
    /// migrated first, and those of [`Store::open`].
    pub fn open_read_only(path: &Path) -> Result<Self> {
        if !path.exists() {
            return Err(StoreError::Missing(path.to_owned()));
        }
        let presence = presence::shared_if_there(path)?;
        let connection = connect_to_read(path).map_err(|error| error.located(path))?;
        let found = schema_of(&connection)?;
        match found.cmp(&SCHEMA) {
            std::cmp::Ordering::Less => Err(StoreError::Older {
                found,
                needed: SCHEMA,
            }),
            std::cmp::Ordering::Equal => Ok(Self::new(connection, path, presence)),
            std::cmp::Ordering::Greater => Err(StoreError::Newer {
                found,
                supported: SCHEMA,
            }),
        }
    }
}

/// Those files of a database that others may read or write: itself, its write-ahead log, the log's index, and what a
/// restore has kept of the one before.
#[must_use]
pub fn files_open_to_others(path: &Path) -> Vec<PathBuf> {
    let own = ["", "-wal", "-shm"].map(|suffix| beside(path, suffix));
    own.into_iter()
        .chain(replaced(path))
        .filter(|file| {
            let metadata = fs::symlink_metadata(file);
            metadata.is_ok_and(|metadata| metadata.is_file() && metadata.mode() & 0o077 != 0)
        })
        .collect()
}

/// What restores have kept of the databases that were here.
fn replaced(path: &Path) -> Vec<PathBuf> {
    let Some((directory, name)) = path.parent().zip(path.file_name()) else {
        return Vec::new();
    };
    let mut begin = name.to_owned();
    begin.push(".replaced-");
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    let names = entries.map(|entry| entry.file_name());
    names
        .filter(|name| name.as_bytes().starts_with(begin.as_bytes()))
        .map(|name| directory.join(name))
        .collect()
}

/// Makes the file where it is missing. Either way nobody else reads or writes it from then on.
pub(super) fn make_file(path: &Path) -> io::Result<()> {
    if let Some(directory) = path
        .parent()
        .filter(|parent| !parent.as_os_str().is_empty())
    {
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(directory)?;
        reach("open: directory made");
    }
    // SQLite gives the write-ahead log and its index the mode of this file.
    match OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
    {
        Ok(_file) => Ok(()),
        // It is there. Whether it can be written is found where it is used.
        Err(_) if path.exists() => {
            for file in files_open_to_others(path) {
                // Whoever may not do this is not its owner, and told so by `doctor`.
                drop(fs::set_permissions(&file, Permissions::from_mode(0o600)));
            }
            Ok(())
        }
        Err(error) => Err(error),
    }
}

/// What a connection is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Access {
    /// Makes the file where it is missing.
    Write,
    Read,
    /// For a disk that nobody can write to: there is no log, and none can be made.
    ReadImmutable,
}

pub(super) fn connect(path: &Path, access: Access) -> Result<Connection> {
    // A path is a path, whatever characters it holds; only the last way needs an address.
    let (name, mode) = match access {
        Access::Write => (
            path.to_owned(),
            OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE,
        ),
        Access::Read => (path.to_owned(), OpenFlags::SQLITE_OPEN_READ_ONLY),
        Access::ReadImmutable => (
            immutable(path),
            OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_URI,
        ),
    };
    let mut connection = Connection::open_with_flags(name, mode | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
    connection.busy_handler(Some(wait_with_jitter))?;
    connection.set_prepared_statement_cache_capacity(128);
    connection
        .execute_batch(
            "PRAGMA trusted_schema = OFF;
         PRAGMA temp_store = MEMORY;
         PRAGMA cache_size = -16000;
         PRAGMA wal_autocheckpoint = 4000;
         PRAGMA journal_size_limit = 67108864;",
        )
        .map_err(|error| not_a_database(error, path))?;
    Ok(connection)
}

/// A connection for writing to a database that is ours.
pub(super) fn connect_to_write(path: &Path) -> Result<Connection> {
    let connection = connect(path, Access::Write)?;
    check_owner(&connection, path)?;
    reach("open: connected");
    use_write_ahead_log(&connection)?;
    reach("open: write-ahead log");
    connection.execute_batch("PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON;")?;
    Ok(connection)
}

/// A connection for reading to a database that is ours.
pub(super) fn connect_to_read(path: &Path) -> Result<Connection> {
    let checked = |access| {
        let connection = connect(path, access)?;
        check_owner(&connection, path)?;
        Ok(connection)
    };
    match checked(Access::Read) {
        // An index of the log would have to be made, which a read-only or full disk refuses.
        // Where there is no log, nobody writes, and nobody who needs an index can begin to.
        Err(StoreError::ReadOnly(_) | StoreError::Full(_)) if !has_log(path) => {
            checked(Access::ReadImmutable)
        }
        other => other,
    }
}

fn has_log(path: &Path) -> bool {
    fs::metadata(beside(path, "-wal")).is_ok_and(|log| log.len() > 0)
}

/// The file with this ending beside the database.
pub(in crate::store) fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(ending);
    name.into()
}

fn immutable(path: &Path) -> PathBuf {
    let mut address = "file:".to_owned();
    for byte in path.as_os_str().as_bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'/' | b'.' | b'-' | b'_' => {
                address.push(char::from(*byte));
            }
            other => address.push_str(&format!("%{other:02X}")),
        }
    }
    address.push_str("?immutable=1");
    address.into()
}

/// The default handler of SQLite starves one of several processes for seconds; short waits of
/// random length do not.
pub(super) fn wait_with_jitter(tries: i32) -> bool {
    if tries >= BUSY_TRIES {
        return false;
    }
    let longest = if tries < SHORT_TRIES {
        250_u64 << tries.clamp(0, 3)
    } else {
        32_000
    };
    std::thread::sleep(Duration::from_micros(rand::random_range(100..=longest)));
    true
}

pub(super) fn check_owner(connection: &Connection, path: &Path) -> Result<()> {
    // Both from one moment: another process may be making the database just now.
    let read = || -> rusqlite::Result<(i32, i64)> {
        let moment = connection.unchecked_transaction()?;
        let id = moment.query_row("PRAGMA application_id", [], |row| row.get(0))?;
        let tables =
            moment.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
        moment.commit()?;
        Ok((id, tables))
    };
    let (id, tables) = read().map_err(|error| not_a_database(error, path))?;
    if id == APPLICATION_ID || (id == 0 && tables == 0) {
        Ok(())
    } else {
        Err(StoreError::Foreign(path.to_owned()))
    }
}

fn not_a_database(error: rusqlite::Error, path: &Path) -> StoreError {
    match error.sqlite_error_code() {
        Some(rusqlite::ErrorCode::NotADatabase) => StoreError::Foreign(path.to_owned()),
        Some(_) | None => error.into(),
    }
}

/// Two processes that open a new database at once get in each other's way here, and SQLite
/// does not ask the busy handler about it.
fn use_write_ahead_log(connection: &Connection) -> Result<()> {
    let mut tries = 0;
    loop {
        let result: rusqlite::Result<String> =
            connection.query_row("PRAGMA journal_mode = WAL", [], |row| row.get(0));
        match result {
            Ok(mode) if mode == "wal" => return Ok(()),
            Ok(mode) => {
                return Err(StoreError::Corrupt(format!(
                    "journal mode is `{mode}`, not `wal`"
                )));
            }
            Err(error) => {
                let error = StoreError::from(error);
                if !matches!(error, StoreError::Busy(_)) || !wait_with_jitter(tries) {
                    return Err(error);
                }
                tries += 1;
            }
        }
    }
}

pub(super) fn schema_of(connection: &Connection) -> Result<u32> {
    Ok(connection.query_row("PRAGMA user_version", [], |row| row.get(0))?)
}

fn migrate(connection: &mut Connection) -> Result<()> {
    if schema_of(connection)? == SCHEMA {
        return Ok(());
    }
    migrate_to(connection, MIGRATIONS)
}

fn migrate_to(connection: &mut Connection, migrations: &[&str]) -> Result<()> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Exclusive)?;
    reach("migrate: begun");
    // Asked again inside: another process may have migrated in the meantime.
    let found = schema_of(&transaction)?;
    let Some(pending) = migrations.get(found as usize..) else {
        return Err(StoreError::Newer {
            found,
            supported: SCHEMA,
        });
    };
    for migration in pending {
        transaction.execute_batch(migration)?;
        reach("migrate: step applied");
    }
    transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
    reach("migrate: marked as ours");
    transaction.pragma_update(None, "user_version", migrations.len() as u32)?;
    reach("migrate: numbered");
    Ok(transaction.commit()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_newer_database_is_refused() {
        let directory = tempfile::tempdir().expect("directory");
        let path = directory.path().join("state.db");
        drop(Store::open(&path).expect("new"));
        let raw = Connection::open(&path).expect("raw");
        raw.pragma_update(None, "user_version", SCHEMA + 1)
            .expect("raised");
        for result in [Store::open(&path), Store::open_read_only(&path)] {
            let error = result.expect_err("refused");
            assert!(matches!(error, StoreError::Newer { .. }), "{error}");
        }
    }

    #[test]
    fn a_foreign_database_and_a_text_file_are_refused() {
        let directory = tempfile::tempdir().expect("directory");
        let path = directory.path().join("other.db");
        let raw = Connection::open(&path).expect("raw");
        raw.execute_batch("CREATE TABLE notes (text TEXT)")
            .expect("table");
        assert!(matches!(Store::open(&path), Err(StoreError::Foreign(_))));
        let text = directory.path().join("text.db");
        fs::write(
            &text,
            "not a database, but longer than a header of sixteen bytes",
        )
        .expect("written");
        assert!(matches!(Store::open(&text), Err(StoreError::Foreign(_))));
    }

    #[test]
    fn processes_that_open_a_new_database_at_once_all_succeed() {
        let directory = tempfile::tempdir().expect("directory");
        let path = directory.path().join("state.db");
        std::thread::scope(|scope| {
            let opened: Vec<_> = (0..8)
                .map(|_| scope.spawn(|| Store::open(&path).map(drop)))
                .collect();
            for thread in opened {
                thread.join().expect("no panic").expect("opened");
            }
        });
    }

    #[test]
    fn a_database_that_another_process_is_making_is_not_taken_for_a_foreign_one() {
        let directory = tempfile::tempdir().expect("directory");
        for n in 0..20 {
            let path = directory.path().join(format!("state-{n}.db"));
            make_file(&path).expect("made");
            let looking = connect(&path, Access::Write).expect("connected");
            std::thread::scope(|scope| {
                let made = scope.spawn(|| Store::open(&path).map(drop));
                while !made.is_finished() {
                    match check_owner(&looking, &path) {
                        Ok(()) | Err(StoreError::Busy(_)) => {}
                        Err(error) => panic!("{error}"),
                    }
                }
                made.join().expect("no panic").expect("opened");
            });
        }
    }

    #[test]
    fn the_first_schema_survives_every_later_migration() {
        let directory = tempfile::tempdir().expect("directory");
        let mut raw = Connection::open(directory.path().join("state.db")).expect("raw");
        let populated = [
            include_str!("../migrations/0001.populated.sql"),
            include_str!("../migrations/0002.populated.sql"),
            include_str!("../migrations/0003.populated.sql"),
            include_str!("../migrations/0004.populated.sql"),
            include_str!("../migrations/0005.populated.sql"),
            include_str!("../migrations/0006.populated.sql"),
            include_str!("../migrations/0007.populated.sql"),
            include_str!("../migrations/0008.populated.sql"),
            include_str!("../migrations/0009.populated.sql"),
            include_str!("../migrations/0010.populated.sql"),
            include_str!("../migrations/0011.populated.sql"),
        ];
        for (migration, rows) in populated.into_iter().enumerate() {
            migrate_to(&mut raw, &MIGRATIONS[..=migration]).expect("schema");
            raw.execute_batch(rows).expect("populated");
        }
        let origins: Vec<(String, bool)> = raw
            .prepare("SELECT origin, has_effects FROM jobs ORDER BY sequence")
            .and_then(|mut rows| {
                let rows = rows.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
                rows.collect()
            })
            .expect("read");
        let expected = [
            ("plan", false),
            ("plan", true),
            ("job", false),
            ("person", false),
            ("schedule", false),
        ];
        assert_eq!(
            origins,
            expected.map(|(origin, has)| (origin.to_owned(), has))
        );
        let count = |raw: &Connection| -> i64 {
            raw.query_row("SELECT count(*) FROM jobs", [], |row| row.get(0))
                .expect("count")
        };
        let before = count(&raw);
        assert!(before > 0);
        migrate_to(&mut raw, MIGRATIONS).expect("migrated");
        assert_eq!(count(&raw), before);
        let broken: i64 = raw
            .query_row("SELECT count(*) FROM pragma_foreign_key_check", [], |row| {
                row.get(0)
            })
            .expect("checked");
        assert_eq!(broken, 0);
        let (status, kind): (String, String) = raw
            .query_row(
                "SELECT status, job_type FROM job_totals WHERE status = 'succeeded'",
                [],
                |row| Ok((row.get(0)?, row.get(1)?)),
            )
            .expect("the jobs of before are counted");
        assert_eq!(
            (status.as_str(), kind.as_str()),
            ("succeeded", "node_provision")
        );
    }
}
