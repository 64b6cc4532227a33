//! `pressluft db`

mod backup;
mod check;
mod prune;
mod restore;

use clap::Subcommand;

use super::context::Context;
use super::error::CliError;
use super::exit::Exit;
pub(super) use crate::core::history::readable_size as size;

#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand, Debug)]
enum Command {
    /// Check the file, its references, the audit chain and what the queue guarantees
    Check(check::Args),
    /// Take away what of the past is beyond the limits
    Prune(prune::Args),
    /// Write a checked copy into a file while everything goes on
    Backup(backup::Args),
    /// Put a backup in the place of the database, which is kept
    Restore(restore::Args),
}

pub(crate) fn run(args: &Args, context: &Context) -> Result<Exit, CliError> {
    match &args.command {
        Command::Check(args) => check::run(args, context),
        Command::Prune(args) => prune::run(args, context),
        Command::Backup(args) => backup::run(args, context),
        Command::Restore(args) => restore::run(args, context),
    }
}
