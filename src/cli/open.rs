//! Opening the database for commands that only look.

use super::context::Context;
use super::error::CliError;
use crate::store::Store;

/// The recorded state for reading.
pub(crate) fn for_reading(context: &Context) -> Result<Store, CliError> {
    is_there(context)?;
    Store::open_read_only(&context.db_path).map_err(CliError::from)
}

/// The recorded state for reading, or none where nothing was recorded yet.
pub(crate) fn if_there(context: &Context) -> Result<Option<Store>, CliError> {
    is_there(context)?.then(|| for_reading(context)).transpose()
}

/// Whether there is a database. A directory that nobody may look into is not an empty record.
fn is_there(context: &Context) -> Result<bool, CliError> {
    let path = &context.db_path;
    path.try_exists().map_err(|error| {
        CliError::new(format!("cannot look for `{}`: {error}", path.display())).hint(
            "run this as the user that the state directory belongs to, or name another one with \
             `--state-dir`",
        )
    })
}

/// The recorded state for writing; made when it is not there.
pub(crate) fn for_writing(context: &Context) -> Result<Store, CliError> {
    context.ensure_state_dir()?;
    Store::open(&context.db_path).map_err(CliError::from)
}
