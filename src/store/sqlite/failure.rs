//! What an error of SQLite means.

use rusqlite::{Error, ErrorCode, ffi};

use super::super::error::{StoreError, Trouble};

impl From<Error> for StoreError {
    fn from(error: Error) -> Self {
        use ErrorCode;
        // The index of the write-ahead log could not grow.
        if let Error::SqliteFailure(code, _) = &error
            && code.extended_code == ffi::SQLITE_IOERR_SHMSIZE
        {
            return Self::Full(Trouble::new(error));
        }
        match error.sqlite_error_code() {
            Some(ErrorCode::DiskFull) => Self::Full(Trouble::new(error)),
            Some(ErrorCode::ReadOnly | ErrorCode::CannotOpen) => {
                Self::ReadOnly(Trouble::new(error))
            }
            Some(ErrorCode::SystemIoFailure) => Self::Io(Trouble::new(error)),
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => Self::Busy(error),
            Some(ErrorCode::DatabaseCorrupt) => Self::Corrupt(error.to_string()),
            Some(_) | None => Self::Database(error),
        }
    }
}
