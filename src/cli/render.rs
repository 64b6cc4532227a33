//! `pressluft render`: started by Pressluft itself, see `daemon::render`.

use std::process::ExitCode;

use crate::daemon;

/// Render one template in bounds
#[derive(Debug, clap::Args)]
#[command(hide = true)]
pub(crate) struct Args {}

/// Answers one request.
pub(crate) fn run() -> ExitCode {
    match daemon::render_one(std::io::stdin().lock(), std::io::stdout().lock()) {
        Ok(()) => ExitCode::SUCCESS,
        // Whoever asked sees that there is no answer.
        Err(_) => ExitCode::FAILURE,
    }
}
