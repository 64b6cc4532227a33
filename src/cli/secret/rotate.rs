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
use crate::store::Store;

#[derive(clap::Args, Debug)]
pub(super) struct ResealArgs {
    /// The root of the fleet repo
    #[arg(long, value_name = "DIR")]
    repo: PathBuf,
    /// Also those that no earlier identity opens, for other recipients than before
    #[arg(long)]
    all: bool,
}

#[derive(clap::Args, Debug)]
pub(super) struct RetireArgs {
    /// The root of the fleet repo as it is in force, whose secrets must not be for the earlier
    /// identities any more
    #[arg(long, value_name = "DIR")]
    repo: PathBuf,
}

/// Makes a new identity and encrypts what the control plane keeps for it.
pub(super) fn rotate(context: &Context) -> Result<Exit, CliError> {
    let mut store = alone(context)?;
    let before = Identity::load(&context.secrets_dir)?;
    let old = before.recipient();
    let identity = before.rotated();
    let new = identity.recipient();
    // First whether it can be done, and then so that a crash leaves what opens everything.
    let resealed = secrets::reseal(&store, &identity)?;
    let detail = json!({ "recipient": new.to_string(), "before": old.to_string() });
    let action = AuditAction::IdentityRotated;
    store.record_audit(&actor(), action, detail, clock::now())?;
    identity.save(&context.secrets_dir)?;
    output::print(&format!("{new}\n"))?;
    let count = resealed.keep(&mut store)?;
    output::note(&format!(
        "{} encrypted for it. Next: put it in the place of `{old}` in `secrets.recipients` of the \
         fleet, run `pressluft secret reseal --repo DIR`, commit, and when that is in force \
         `pressluft secret retire --repo DIR`",
        output::counted(count, "stored secret")
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
    refuse_earlier_recipients(&args.repo, &identity)?;
    // All are opened before one is written.
    let mut values = Vec::new();
    for name in names(&args.repo)? {
        let file = repo::read(&args.repo, &name)?;
        if !identity.opens_alone(&file) && !identity.earlier_opens(&file) {
            output::note(&format!(
                "left as it is: `secrets/{name}.age` is not for this control plane"
            ))?;
        } else if args.all || identity.earlier_opens(&file) {
            values.push((identity.open_file(name.as_str(), &file)?, name));
        }
    }
    for (value, name) in &values {
        repo::write(&args.repo, name, value, &context.secrets_dir)?;
    }
    let rest = if values.is_empty() { "" } else { ": commit it" };
    output::note(&format!(
        "wrote {}{rest}",
        output::counted(values.len(), "file")
    ))?;
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
    refuse_earlier_recipients(&args.repo, &identity)?;
    let mut open = Vec::new();
    for name in names(&args.repo)? {
        if identity.earlier_opens(&repo::read(&args.repo, &name)?) {
            open.push(format!("`secrets/{name}.age`"));
        }
    }
    if !open.is_empty() {
        return Err(CliError::new(format!(
            "the earlier identities still open {}",
            open.join(", ")
        ))
        .hint("`pressluft secret reseal --repo DIR` writes them anew; commit and push that"));
    }
    require_in_force(&store, &args.repo)?;
    secrets::reseal(&store, &identity)?.keep(&mut store)?;
    let identity = identity.without_earlier();
    let detail = json!({ "recipient": identity.recipient().to_string(), "retired": earlier });
    let action = AuditAction::IdentitiesRetired;
    store.record_audit(&actor(), action, detail, clock::now())?;
    identity.save(&context.secrets_dir)?;
    output::note(&match earlier {
        1 => "1 earlier identity is forgotten".to_owned(),
        count => format!("{count} earlier identities are forgotten"),
    })?;
    keep_a_copy(context)
}

/// Files that are written for an earlier identity as well would be readable for whoever has it. This
/// also refuses a directory that is no fleet repo: its missing secrets must not pass for none left.
fn refuse_earlier_recipients(directory: &Path, identity: &Identity) -> Result<(), CliError> {
    let recipients = repo::recipients(directory)?;
    match recipients.iter().find(|known| identity.was_for(known)) {
        Some(old) => Err(CliError::new(format!(
            "`secrets.recipients` of the fleet still names the earlier identity `{old}`"
        ))
        .hint(format!("write `{}` in its place", identity.recipient()))),
        None => Ok(()),
    }
}

/// What is planned next comes from the revision in force, which is not always what lies in a clone.
fn require_in_force(store: &Store, directory: &Path) -> Result<(), CliError> {
    let Some(accepted) = store.repository()?.and_then(|known| known.accepted) else {
        return Ok(());
    };
    let here = crate::git::open_working_tree(directory, None)
        .map_err(|error| CliError::new(crate::core::causes::chain(&error)))?
        .revision;
    if here.commit.as_ref() == Some(&accepted) && !here.dirty {
        return Ok(());
    }
    Err(CliError::new(format!(
        "`{}` is not what is in force, which is the commit {accepted}",
        directory.display()
    ))
    .hint("commit, push, let it come into force, and bring the clone to that commit"))
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
