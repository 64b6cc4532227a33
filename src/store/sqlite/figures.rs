//! What SQLite says of its file.

use super::super::Store;
use super::super::error::Result;

impl Store {
    /// Bytes of the database file.
    ///
    /// # Errors
    /// When the database fails.
    pub fn size(&self) -> Result<u64> {
        let bytes: i64 = self.connection.query_row(
            "SELECT page_count * page_size FROM pragma_page_count, pragma_page_size",
            [],
            |row| row.get(0),
        )?;
        Ok(bytes.unsigned_abs())
    }

    /// Bytes of the database file that are free for what comes.
    pub(in crate::store) fn free(&self) -> Result<u64> {
        let bytes: i64 = self.connection.query_row(
            "SELECT freelist_count * page_size FROM pragma_freelist_count, pragma_page_size",
            [],
            |row| row.get(0),
        )?;
        Ok(bytes.unsigned_abs())
    }

    /// A number that is another one after somebody else has written; asking costs nearly nothing.
    ///
    /// # Errors
    /// When the database fails.
    pub fn version(&self) -> Result<i64> {
        Ok(self
            .connection
            .prepare_cached("PRAGMA data_version")?
            .query_row([], |row| row.get(0))?)
    }
}
