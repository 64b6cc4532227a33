//! `pressluft completions`

use clap::CommandFactory;
use clap_complete::Shell;

use super::context::Context;
use super::error::CliError;
use super::exit::Exit;
use super::output;

#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// The shell to complete in
    shell: Shell,
}

pub(crate) fn run(args: &Args, _context: &Context) -> Result<Exit, CliError> {
    let mut script = Vec::new();
    clap_complete::generate(
        args.shell,
        &mut super::Cli::command(),
        "pressluft",
        &mut script,
    );
    output::print(&String::from_utf8_lossy(&script))?;
    Ok(Exit::Done)
}
