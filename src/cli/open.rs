//! Opening the database for commands that only look.

use super::context::Context;
use super::error::{CliError, chain};
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
        let text = chain(&error);
        match error {
            StoreError::Missing(_) => Self::new(text).hint(
                "nothing is recorded yet; `pressluft apply` makes the database, or name another \
                 state directory with `--state-dir`",
            ),
            StoreError::StalePlan(_) => Self::new(text)
                .exit(super::exit::Exit::StalePlan)
                .hint("plan again; the record moved since this plan was made"),
            _ => Self::new(text),
        }
    }
}
