//! Opening the database for commands that only look.

use super::context::Context;
use super::error::{CliError, chain};
use super::exit::Exit;
use crate::store::{Store, StoreError};

/// The recorded state for reading.
pub(crate) fn for_reading(context: &Context) -> Result<Store, CliError> {
    Store::open_read_only(&context.db_path).map_err(CliError::from)
}

/// The recorded state for writing; made when it is not there.
pub(crate) fn for_writing(context: &Context) -> Result<Store, CliError> {
    context.ensure_state_dir()?;
    Store::open(&context.db_path).map_err(CliError::from)
}

impl From<StoreError> for CliError {
    fn from(error: StoreError) -> Self {
        let exit = match &error {
            StoreError::StalePlan(_) => Exit::StalePlan,
            StoreError::Busy(_) => Exit::LockTimeout,
            StoreError::Missing(_)
            | StoreError::Create { .. }
            | StoreError::Foreign(_)
            | StoreError::Newer { .. }
            | StoreError::Older { .. }
            | StoreError::Full(_)
            | StoreError::ReadOnly(_)
            | StoreError::Sqlite(_)
            | StoreError::Stale { .. }
            | StoreError::BadDependencies
            | StoreError::NotFound { .. }
            | StoreError::IllegalMove(_)
            | StoreError::Corrupt(_) => Exit::Error,
        };
        let cli = Self::new(chain(&error)).exit(exit);
        match error.hint() {
            Some(hint) => cli.hint(hint),
            None => cli,
        }
    }
}
