//! `pressluft resume`

use super::context::{Context, actor};
use super::error::CliError;
use super::exit::Exit;
use super::output;
use crate::clock;
use crate::store::Store;
use crate::store::StoreError;

/// A database that was restored is paused, so that somebody looks before jobs run again.
#[derive(clap::Args, Debug)]
pub(crate) struct Args {}

pub(crate) fn run(_args: &Args, context: &Context) -> Result<Exit, CliError> {
    if !context.db_path.exists() {
        return Err(StoreError::Missing(context.db_path.clone()).into());
    }
    let mut store = Store::open(&context.db_path)?;
    output::print(&match store.resume(&actor(), clock::now())? {
        Some(pause) => format!(
            "jobs run again; nothing ran since {} because {}\n",
            output::seconds(pause.since),
            pause.reason
        ),
        None => "nothing is paused\n".to_owned(),
    })?;
    Ok(Exit::Done)
}
