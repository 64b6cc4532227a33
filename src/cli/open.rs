//! Opening the database for commands that only look.

use super::context::Context;
use super::error::CliError;
use crate::store::Store;

/// The recorded state for reading.
pub(crate) fn for_reading(context: &Context) -> Result<Store, CliError> {
    Store::open_read_only(&context.db_path).map_err(CliError::from)
}

/// The recorded state for reading, or none where nothing was recorded yet.
pub(crate) fn if_there(context: &Context) -> Result<Option<Store>, CliError> {
    context
        .db_path
        .exists()
        .then(|| for_reading(context))
        .transpose()
}

/// The recorded state for writing; made when it is not there.
pub(crate) fn for_writing(context: &Context) -> Result<Store, CliError> {
    context.ensure_state_dir()?;
    Store::open(&context.db_path).map_err(CliError::from)
}
