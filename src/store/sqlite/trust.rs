//! After the disk failed, nothing is believed until the database was opened anew, its log is
//! safely in it, and it was checked.
//!
//! The kernel tells a failed sync once, and forgets what it could not write: pages that look
//! written may not be on the disk. What the log holds is therefore written once more, into the
//! database, and only when that was synced does the log begin anew.

use rusqlite::Connection;

use super::super::Store;
use super::super::error::{Result, StoreError};
use super::check::damage;
use super::open;

impl Store {
    /// Opens the database anew, carries its log over and checks it.
    ///
    /// # Errors
    /// While the disk fails, is full or read-only; then the store is not trusted still.
    /// [`StoreError::Corrupt`] when it is damaged.
    pub fn regain_trust(&mut self) -> Result<()> {
        self.reopen().map_err(|error| error.located(&self.path))
    }

    fn reopen(&mut self) -> Result<()> {
        // The old connection is still there: were it the last one, what it could not finish
        // would be found in the log and taken for finished.
        let connection = open::connect_to_write(&self.path)?;
        carry_over(&connection)?;
        if let Some(problem) = damage(&connection)?.into_iter().next() {
            return Err(StoreError::Corrupt(problem.message));
        }
        self.connection = connection;
        self.distrusted = false;
        Ok(())
    }
}

/// Writes all of the log into the database. Only one may do this at a time, and SQLite does not
/// ask the busy handler about it: other threads that met the same error are at it, too.
fn carry_over(connection: &Connection) -> Result<()> {
    let mut tries = 0;
    loop {
        let busy: i64 =
            connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get(0))?;
        if busy == 0 {
            return Ok(());
        }
        if !open::wait_with_jitter(tries) {
            return Err(super::copy::busy());
        }
        tries += 1;
    }
}
