//! `pressluft secret`

mod edit;
pub(super) mod input;
mod rename;
mod repo;
mod rotate;

use std::path::PathBuf;

use clap::Subcommand;
use jiff::Timestamp;
use serde::Serialize;
use serde_json::json;

use super::context::{Context, actor};
use super::error::CliError;
use super::exit::Exit;
use super::output::{self, Format};
use crate::clock;
use crate::core::audit::AuditAction;
use crate::core::causes::chain;
use crate::secrets::{self, FingerprintKey, Identity, Origin, Secret, SecretError, SecretName};
use crate::store::{Store, StoreError};

/// Documents refer to a secret as `secret:NAME`. Its value is looked for in `secrets/NAME.age`
/// of the fleet repo first, then in the control plane's own store, where it is kept encrypted
/// with the age identity of the state directory.
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand, Debug)]
enum Command {
    /// Make the age identity of this control plane and print its public half
    Keygen,
    /// Store a secret, read from standard input
    Set(SetArgs),
    /// Print the value of a secret; the audit record tells who did
    Get(NameArgs),
    /// List the names of all secrets
    List(ListArgs),
    /// Change a secret in an editor ($VISUAL, $EDITOR or vi)
    Edit(NameArgs),
    /// Give a secret another name, and with it another owner: `sites/SITE/…` is a site's,
    /// `nodes/NODE/…` a node's, `control/…` the control plane's, any other one the fleet's
    Move(rename::Args),
    /// Make another age identity and encrypt the own store for it; the earlier ones still open what
    /// was encrypted for them. Nothing else of Pressluft may run
    Rotate,
    /// Encrypt those secrets of a fleet repo anew that an earlier identity opens
    Reseal(rotate::ResealArgs),
    /// Forget earlier identities, once the fleet repo needs them no more. Nothing else of Pressluft
    /// may run
    Retire(rotate::RetireArgs),
}

#[derive(clap::Args, Debug)]
struct SetArgs {
    #[command(flatten)]
    which: NameArgs,
    /// Read the value from this file, exactly as it is; of standard input, one newline at the
    /// end is left out
    #[arg(long, value_name = "FILE")]
    from_file: Option<PathBuf>,
}

#[derive(clap::Args, Debug)]
struct NameArgs {
    /// For example `dns/cloudflare`, `sites/acme/stripe` or `nodes/web-1/ssh`
    #[arg(value_parser = parse_name)]
    name: SecretName,
    /// Use secrets/NAME.age of this fleet repo, encrypted for the fleet's recipients and for
    /// this control plane, in place of the control plane's own store
    #[arg(long, value_name = "DIR")]
    repo: Option<PathBuf>,
}

#[derive(clap::Args, Debug)]
struct ListArgs {
    /// List those of this fleet repo as well
    #[arg(long, value_name = "DIR")]
    repo: Option<PathBuf>,
    #[arg(short, long, value_enum, default_value_t)]
    output: Format,
}

/// One line of `secret list`.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
struct Listed {
    name: String,
    source: &'static str,
    updated_at: Option<Timestamp>,
}

pub(crate) fn run(args: &Args, context: &Context) -> Result<Exit, CliError> {
    match &args.command {
        Command::Keygen => keygen(context),
        Command::Set(args) => {
            let value = match &args.from_file {
                Some(path) => input::from_file(path, args.which.name.as_str())?,
                None => input::from_stdin(args.which.name.as_str())?,
            };
            save(context, &args.which, &value)
        }
        Command::Get(args) => get(context, args),
        Command::List(args) => list(context, args),
        Command::Edit(args) => edit(context, args),
        Command::Move(args) => rename::run(args, context),
        Command::Rotate => rotate::rotate(context),
        Command::Reseal(args) => rotate::reseal(context, args),
        Command::Retire(args) => rotate::retire(context, args),
    }
}

fn parse_name(text: &str) -> Result<SecretName, String> {
    text.parse()
        .map_err(|error: SecretError| match error.hint() {
            Some(hint) => format!("write {hint}"),
            None => error.to_string(),
        })
}

fn keygen(context: &Context) -> Result<Exit, CliError> {
    context.ensure_state_dir()?;
    let identity = Identity::generate(&context.secrets_dir).map_err(|error| {
        match (&error, Identity::load(&context.secrets_dir)) {
            (SecretError::Exists(_), Ok(identity)) => CliError::new(&error).hint(format!(
                "its public half is {}; `pressluft secret rotate` makes another one",
                identity.recipient()
            )),
            (_, Ok(_) | Err(_)) => error.into(),
        }
    })?;
    let recipient = identity.recipient().to_string();
    let detail = json!({ "recipient": recipient });
    Store::open(&context.db_path)?.record_audit(
        &actor(),
        AuditAction::IdentityMade,
        detail,
        clock::now(),
    )?;
    output::print(&format!("{recipient}\n"))?;
    let path = Identity::path(&context.secrets_dir);
    output::note(&format!(
        "the private half is in `{}`: keep a copy of it where the backups are not",
        path.display()
    ))?;
    Ok(Exit::Done)
}

/// Puts a value where `which` says.
fn save(context: &Context, which: &NameArgs, value: &Secret<String>) -> Result<Exit, CliError> {
    let name = &which.name;
    if let Some(directory) = &which.repo {
        let path = repo::write(directory, name, value, &context.secrets_dir)?;
        output::note(&format!("wrote `{}`: commit it", path.display()))?;
        return Ok(Exit::Done);
    }
    context.ensure_state_dir()?;
    // The database first: as long as it is open, the identity stays the one that it is.
    let mut store = Store::open(&context.db_path)?;
    let identity = Identity::load_or_generate(&context.secrets_dir)?;
    let key = FingerprintKey::load_or_make(&context.secrets_dir)?;
    let changed = secrets::set(
        &mut store,
        (&identity, &key),
        name,
        value,
        &actor(),
        clock::now(),
    )?;
    let what = if changed { "stored" } else { "unchanged:" };
    output::note(&format!("{what} `{name}`"))?;
    Ok(Exit::Done)
}

/// The value from where `which` says, and the store in which its reveal is to be audited.
fn load(context: &Context, which: &NameArgs) -> Result<Secret<String>, CliError> {
    let name = which.name.as_str();
    let mut store = Store::open(&context.db_path)?;
    let identity = Identity::load(&context.secrets_dir)?;
    let (value, source) = match &which.repo {
        Some(directory) => {
            let file = repo::read(directory, &which.name)?;
            (identity.open_file(name, &file)?, "fleet-repo")
        }
        None => (
            secrets::reveal(&store, &identity, name, &Origin::Store)?,
            "control-plane",
        ),
    };
    let detail = json!({ "name": name, "store": source });
    store.record_audit(&actor(), AuditAction::SecretRevealed, detail, clock::now())?;
    Ok(value)
}

fn get(context: &Context, args: &NameArgs) -> Result<Exit, CliError> {
    let value = load(context, args)?;
    output::print(value.expose())?;
    if context.interactive && !value.expose().ends_with('\n') {
        output::print("\n")?;
    }
    Ok(Exit::Done)
}

fn edit(context: &Context, args: &NameArgs) -> Result<Exit, CliError> {
    let before = match load(context, args) {
        Ok(value) => value,
        Err(error) if is_new(context, args)? => {
            drop(error);
            Secret::new(String::new())
        }
        Err(error) => return Err(error),
    };
    let after = edit::in_editor(&before, args.name.as_str(), &context.secrets_dir)?;
    if after.expose() == before.expose() {
        output::note(&format!("unchanged: `{}`", args.name))?;
        return Ok(Exit::Done);
    }
    save(context, args, &after)
}

/// Whether there is no such secret yet.
fn is_new(context: &Context, args: &NameArgs) -> Result<bool, CliError> {
    match &args.repo {
        Some(directory) => Ok(!repo::exists(directory, &args.name)),
        None => Ok(own(context)?
            .iter()
            .all(|listed| listed.name != args.name.as_str())),
    }
}

fn list(context: &Context, args: &ListArgs) -> Result<Exit, CliError> {
    let mut listed = own(context)?;
    if let Some(directory) = &args.repo {
        let names = repo::names(directory)?;
        // The fleet repo wins: what it hides is not listed twice.
        listed.retain(|own| !names.contains(&own.name));
        listed.extend(names.into_iter().map(|name| Listed {
            name,
            source: "fleet-repo",
            updated_at: None,
        }));
    }
    listed.sort();
    output::show(args.output, &listed, |listed| {
        let rows = listed.iter().map(|secret| {
            let updated = secret.updated_at.map_or("-".to_owned(), output::seconds);
            vec![secret.name.clone(), secret.source.to_owned(), updated]
        });
        output::table(
            context.width(),
            &["name", "source", "updated"],
            &rows.collect::<Vec<_>>(),
        )
    })?;
    Ok(Exit::Done)
}

fn own(context: &Context) -> Result<Vec<Listed>, CliError> {
    let store = match Store::open_read_only(&context.db_path) {
        Ok(store) => store,
        Err(StoreError::Missing(_)) => return Ok(Vec::new()),
        Err(error) => return Err(error.into()),
    };
    let secrets = store.secrets()?.into_iter().map(|secret| Listed {
        name: secret.name,
        source: "control-plane",
        updated_at: Some(secret.updated_at),
    });
    Ok(secrets.collect())
}

impl From<SecretError> for CliError {
    fn from(error: SecretError) -> Self {
        let hint = match &error {
            SecretError::Store(inner) => inner.hint(),
            other => other.hint(),
        };
        let cli = CliError::new(chain(&error));
        match hint {
            Some(hint) => cli.hint(hint),
            None => cli,
        }
    }
}
