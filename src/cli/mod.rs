//! The command line.

mod doctor;
mod ssh_key;
mod supervise;

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;

use crate::ansible::Settings;

#[derive(Parser)]
#[command(version)]
struct Cli {
    #[arg(long, env = "PRESSLUFT_STATE_DIR", default_value = "/var/lib/pressluft", global = true)]
    state_dir: PathBuf,
    #[arg(long, env = "PRESSLUFT_ANSIBLE_VENV", hide = true, global = true)]
    ansible_venv: Option<PathBuf>,
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Subcommand)]
enum Command {
    Doctor(doctor::Args),
    SshKey(ssh_key::Args),
    Supervise(supervise::Args),
}

/// Runs the program.
#[must_use]
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    let mut settings = Settings::new(&cli.state_dir);
    settings.venv = cli.ansible_venv;
    let (mut out, mut err) = (io::stdout().lock(), io::stderr());
    let result = match &cli.command {
        Command::Supervise(args) => return supervise::run(args),
        Command::SshKey(args) => {
            ssh_key::run(args, &cli.state_dir, &mut out).map(|()| true).map_err(|e| e.to_string())
        }
        Command::Doctor(args) => {
            doctor::run(args, &settings, Vec::new, &mut out, &mut err).map_err(|e| e.to_string())
        }
    };
    match result {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            drop(writeln!(err, "{error}"));
            ExitCode::FAILURE
        }
    }
}
