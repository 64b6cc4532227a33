//! The command line: one file per command, arguments in, exit code out.

pub mod error;
pub mod exit;

mod apply;
mod audit;
mod completions;
mod context;
mod db;
mod describe;
mod diagnostics_view;
mod doctor;
mod drift;
mod env;
mod execute;
mod fleet;
mod get;
mod git_settings;
mod history_settings;
mod hook;
mod init;
mod job_actions;
mod job_id;
mod jobs;
mod man;
mod open;
mod output;
mod ownership;
mod plan;
mod plan_view;
mod printable;
mod progress_view;
mod purge;
mod reconcile;
mod reconcile_view;
mod render;
mod reset;
mod resume;
mod scaffold;
mod schema;
mod secret;
mod serve;
mod service_manager;
mod settings;
mod snippet;
mod sources_settings;
mod ssh_key;
mod supervise;
mod times_view;
mod user;
mod validate;
mod web_settings;
mod worker;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use context::{Context, GlobalArgs};
use error::CliError;
use exit::Exit;

/// Keeps servers and the WordPress sites on them the way a git repository says
#[derive(Parser, Debug)]
#[command(
    name = "pressluft",
    version,
    propagate_version = true,
    max_term_width = 100
)]
struct Cli {
    #[command(flatten)]
    global: GlobalArgs,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand, Debug)]
enum Command {
    /// Make a new fleet repo that validates
    Init(init::Args),
    /// Check all documents and report every problem
    Validate(validate::Args),
    /// Show what would change between the documents and what is recorded
    Plan(plan::Args),
    /// Carry out a plan: queue its jobs, run them, record how they ended
    Apply(apply::Args),
    /// List what is recorded
    Get(get::Args),
    /// Show one resource: its address, its state, its last job, where it is written
    Describe(describe::Args),
    /// Look at jobs, cancel them, try them again
    Jobs(jobs::Args),
    /// Run queued jobs until it is told to end
    Worker(worker::Args),
    /// Look whether nodes and environments are still what was applied
    Drift(drift::Args),
    /// Keep the fleet the way its repository says: look for commits, queue their jobs, run them
    Serve(serve::Args),
    /// Have the fleet repo looked at now
    Reconcile(reconcile::Args),
    /// Let a push into a repository on this machine wake `serve`
    Hook(hook::Args),
    /// Empty the caches of environments
    Purge(purge::Args),
    /// Take a failed site or environment back once it is healthy
    Reset(reset::Args),
    /// Read the audit record and check that nobody changed it
    Audit(audit::Args),
    /// Check, back up and restore the database
    Db(db::Args),
    /// Let jobs run again after a restore
    Resume(resume::Args),
    /// Write completions for a shell to standard output
    Completions(completions::Args),
    /// Check that this machine has all that a job needs
    Doctor(doctor::Args),
    /// Write man pages into a directory
    Man(man::Args),
    /// Print the JSON Schema of documents
    Schema(schema::Args),
    /// Store, reveal and list secrets
    Secret(secret::Args),
    /// Print the public half of the control plane's own SSH key
    SshKey(ssh_key::Args),
    /// Say who may look at the status endpoint
    User(user::Args),
    #[command(hide = true)]
    Supervise(supervise::Args),
    #[command(hide = true)]
    Render(render::Args),
}

/// Runs the program on the arguments of this process.
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return usage(&error),
    };
    // A child of a running Pressluft: it needs no settings and no time to read them.
    if let Command::Supervise(args) = &cli.command {
        return supervise::run(args);
    }
    if let Command::Render(_) = &cli.command {
        return render::run();
    }
    match run(&cli) {
        Ok(exit) => exit.into(),
        Err(error) => {
            error.report();
            error.exit.into()
        }
    }
}

/// Help and version are no errors; everything else that clap says is a usage error.
fn usage(error: &clap::Error) -> ExitCode {
    let exit = if error.use_stderr() {
        Exit::Usage
    } else {
        Exit::Done
    };
    match error.print() {
        Ok(()) => exit.into(),
        Err(_) => Exit::Error.into(),
    }
}

fn run(cli: &Cli) -> Result<Exit, CliError> {
    let context = Context::new(&cli.global)?;
    log_to_stderr(cli.global.verbose);
    match &cli.command {
        Command::Init(args) => init::run(args, &context),
        Command::Validate(args) => validate::run(args, &context),
        Command::Plan(args) => plan::run(args, &context),
        Command::Apply(args) => apply::run(args, &context),
        Command::Get(args) => get::run(args, &context),
        Command::Describe(args) => describe::run(args, &context),
        Command::Jobs(args) => jobs::run(args, &context),
        Command::Worker(args) => worker::run(args, &context),
        Command::Drift(args) => drift::run(args, &context),
        Command::Serve(args) => serve::run(args, &context),
        Command::Reconcile(args) => reconcile::run(args, &context),
        Command::Hook(args) => hook::run(args, &context),
        Command::Purge(args) => purge::run(args, &context),
        Command::Reset(args) => reset::run(args, &context),
        Command::Audit(args) => audit::run(args, &context),
        Command::Db(args) => db::run(args, &context),
        Command::Resume(args) => resume::run(args, &context),
        Command::Completions(args) => completions::run(args, &context),
        Command::Doctor(args) => doctor::run(args, &context),
        Command::Man(args) => man::run(args, &context),
        Command::Schema(args) => schema::run(args, &context),
        Command::Secret(args) => secret::run(args, &context),
        Command::SshKey(args) => ssh_key::run(args, &context),
        Command::User(args) => user::run(args, &context),
        Command::Supervise(_) | Command::Render(_) => Ok(Exit::Done),
    }
}

fn log_to_stderr(verbose: u8) {
    let level = match verbose {
        0 => tracing::Level::WARN,
        1 => tracing::Level::INFO,
        _ => tracing::Level::DEBUG,
    };
    tracing_subscriber::fmt()
        .with_max_level(level)
        .with_writer(std::io::stderr)
        .init();
}
