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
    let failed = |error| {
        let directory = args.directory.display();
        CliError::new(format!("cannot write to `{directory}`: {error}"))
    };
    std::fs::create_dir_all(&args.directory).map_err(failed)?;
    clap_mangen::generate_to(super::Cli::command(), &args.directory).map_err(failed)?;
    Ok(Exit::Done)
}
