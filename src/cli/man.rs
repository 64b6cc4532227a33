//! `pressluft man`

use std::path::PathBuf;

use clap::CommandFactory;

use super::context::Context;
use super::error::CliError;
use super::exit::Exit;

#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// Where the pages go, for example /usr/local/share/man/man1
    directory: PathBuf,
}

pub(crate) fn run(args: &Args, _context: &Context) -> Result<Exit, CliError> {
    std::fs::create_dir_all(&args.directory)?;
    clap_mangen::generate_to(super::Cli::command(), &args.directory).map_err(|error| {
        CliError::new(format!(
            "cannot write to `{}`: {error}",
            args.directory.display()
        ))
    })?;
    Ok(Exit::Done)
}
