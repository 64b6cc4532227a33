//! `pressluft secret rotate|reseal|retire`: another age identity, step by step, so that at every moment
//! everything can be opened.

use std::path::{Path, PathBuf};

use serde_json::json;

use super::repo;
use crate::cli::context::{Context, actor};
use crate::cli::error::CliError;
use crate::cli::exit::Exit;
use crate::cli::output;
use crate::clock;
use crate::core::audit::AuditAction;
use crate::secrets::{self, Identity, SecretName};
use crate::store::{JobFilter, Store};

#[derive(clap::Args, Debug)]
pub(super) struct ResealArgs {
    /// The root of the fleet repo
    #[arg(long, value_name = "DIR")]
    repo: PathBuf,
    /// Also those that this control plane can open already, for other recipients than before
    #[arg(long)]
    all: bool,
}

#[derive(clap::Args, Debug)]
pub(super) struct RetireArgs {
    /// The root of the fleet repo, whose secrets must not need the earlier identities any more
    #[arg(long, value_name = "DIR")]
    repo: PathBuf,
}

/// Makes a new identity and encrypts the control plane's own store for it.
pub(super) fn rotate(context: &Context) -> Result<Exit, CliError> {
    let mut store = alone(context)?;
    let before = Identity::load(&context.secrets_dir)?;
    let old = before.recipient();
    let identity = before.rotate(&context.secrets_dir)?;
    let detail =
        json!({ "recipient": identity.recipient().to_string(), "before": old.to_string() });
    let action = AuditAction::IdentityRotated;
    store.record_audit(&actor(), action, detail, clock::now())?;
    let sealed = secrets::reseal(&mut store, &identity)?;
    output::print(&format!("{}\n", identity.recipient()))?;
    output::note(&format!(
        "{} encrypted for it. Next: put it in the place of `{old}` in `secrets.recipients` of the \
         fleet, run `pressluft secret reseal --repo DIR`, commit, and when that is in force \
         `pressluft secret retire --repo DIR`",
        output::counted(sealed, "stored secret")
    ))?;
    keep_a_copy(context)
}

fn keep_a_copy(context: &Context) -> Result<Exit, CliError> {
    let path = Identity::path(&context.secrets_dir);
    output::note(&format!(
        "`{}` has changed: keep a copy of it where the backups are not",
        path.display()
    ))?;
    Ok(Exit::Done)
}

/// Writes files of the fleet repo anew.
pub(super) fn reseal(context: &Context, args: &ResealArgs) -> Result<Exit, CliError> {
    let identity = Identity::load(&context.secrets_dir)?;
    let mut written = 0;
    for name in names(&args.repo)? {
        let file = repo::read(&args.repo, &name)?;
        if args.all || !identity.opens_alone(&file) {
            let value = identity.decrypt_text(name.as_str(), &file)?;
            repo::write(&args.repo, &name, &value, &context.secrets_dir)?;
            written += 1;
        }
    }
    let rest = if written == 0 { "" } else { ": commit it" };
    output::note(&format!("wrote {}{rest}", output::counted(written, "file")))?;
    Ok(Exit::Done)
}

/// Forgets earlier identities once nothing needs them.
pub(super) fn retire(context: &Context, args: &RetireArgs) -> Result<Exit, CliError> {
    let mut store = alone(context)?;
    let identity = Identity::load(&context.secrets_dir)?;
    let earlier = identity.earlier();
    if earlier == 0 {
        output::note("there are no earlier identities")?;
        return Ok(Exit::Done);
    }
    let mut closed = Vec::new();
    for name in names(&args.repo)? {
        if !identity.opens_alone(&repo::read(&args.repo, &name)?) {
            closed.push(format!("`secrets/{name}.age`"));
        }
    }
    if !closed.is_empty() {
        return Err(CliError::new(format!(
            "{} cannot be opened without the earlier identities",
            closed.join(", ")
        ))
        .hint(
            "`pressluft secret reseal --repo DIR` writes them anew; commit and push that first",
        ));
    }
    // What they take from the fleet repo was kept as it was when they were queued.
    let open = open_jobs(&store)?;
    if open > 0 {
        return Err(CliError::new(format!(
            "{} not ended, and may need secrets as they were",
            match open {
                1 => "1 job has".to_owned(),
                count => format!("{count} jobs have"),
            }
        ))
        .hint("let the service run them, or cancel them with `pressluft jobs cancel`"));
    }
    secrets::reseal(&mut store, &identity)?;
    let identity = identity.retire_earlier(&context.secrets_dir)?;
    let detail = json!({ "recipient": identity.recipient().to_string(), "retired": earlier });
    let action = AuditAction::IdentitiesRetired;
    store.record_audit(&actor(), action, detail, clock::now())?;
    output::note(&format!(
        "{} forgotten",
        match earlier {
            1 => "1 earlier identity is".to_owned(),
            count => format!("{count} earlier identities are"),
        }
    ))?;
    keep_a_copy(context)
}

/// The database for this process alone: one that runs has the identity that it began with, and could
/// not open what is encrypted for another.
fn alone(context: &Context) -> Result<Store, CliError> {
    context.ensure_state_dir()?;
    Ok(Store::open_alone(&context.db_path)?)
}

fn names(directory: &Path) -> Result<Vec<SecretName>, CliError> {
    let names = repo::names(directory)?.into_iter();
    names
        .map(|name| name.parse().map_err(CliError::from))
        .collect()
}

fn open_jobs(store: &Store) -> Result<usize, CliError> {
    let mut open = 0;
    for status in crate::core::job::JobStatus::ALL {
        if !status.is_terminal() {
            let filter = JobFilter {
                status: Some(*status),
                limit: 1_000,
                ..JobFilter::default()
            };
            open += store.jobs(&filter)?.jobs.len();
        }
    }
    Ok(open)
}
