//! `pressluft ssh-key`

use crate::ansible;

use super::context::Context;
use super::error::CliError;
use super::exit::Exit;
use super::output;
use crate::core::causes::chain;

/// The key is made on first use. Put it into `authorized_keys` of every node that has no
/// `ssh.key` of its own.
#[derive(clap::Args, Debug)]
pub(crate) struct Args {}

pub(crate) fn run(_args: &Args, context: &Context) -> Result<Exit, CliError> {
    context.ensure_state_dir()?;
    let key = ansible::public_key(&context.state_dir).map_err(|error| {
        CliError::new(chain(&error))
            .hint("`pressluft doctor` checks `ssh-keygen` and the state directory")
    })?;
    output::print(&format!("{key}\n"))?;
    Ok(Exit::Done)
}
