//! `pressluft ssh-key`.

use std::io::{self, Write};
use std::path::Path;

use crate::ansible::{self, SshKeyError};

/// Print the public half of the control plane's own SSH key
///
/// The key is made on first use. Put it into `authorized_keys` of every node that has no
/// `ssh.key` of its own.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {}

/// The key could not be made or printed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error(transparent)]
    Key(#[from] SshKeyError),
    #[error("cannot print the key")]
    Output(#[from] io::Error),
}

/// Prints the key to `out`.
///
/// # Errors
/// [`Error`] when the key can be neither found nor made.
pub(crate) fn run(_args: &Args, state_dir: &Path, out: &mut dyn Write) -> Result<(), Error> {
    let key = ansible::public_key(state_dir)?;
    writeln!(out, "{key}")?;
    Ok(())
}
