//! `pressluft secret move`: another name, and with it another owner, for the same value.

use std::path::{Path, PathBuf};

use super::super::context::{Context, actor};
use super::super::error::CliError;
use super::super::exit::Exit;
use super::super::output;
use super::{own, parse_name, repo};
use crate::clock;
use crate::core::causes::chain;
use crate::core::document::scalar::{Scalar, SecretRef};
use crate::git;
use crate::secrets::{self, FingerprintKey, Identity, SecretName};
use crate::store::Store;

#[derive(clap::Args, Debug)]
pub(super) struct Args {
    /// Its name now
    #[arg(value_parser = parse_name, value_name = "OLD")]
    old: SecretName,
    /// Its name from now on, for example `sites/acme/stripe`
    #[arg(value_parser = parse_name, value_name = "NEW")]
    new: SecretName,
    /// Move secrets/OLD.age of this fleet repo as well, and list its documents that still use OLD
    #[arg(long, value_name = "DIR")]
    repo: Option<PathBuf>,
}

pub(super) fn run(args: &Args, context: &Context) -> Result<Exit, CliError> {
    let Args { old, new, repo } = args;
    let listed = own(context)?;
    let is_kept = |name: &SecretName| listed.iter().any(|known| known.name == name.as_str());
    let is_in_repo = |name: &SecretName| {
        let repo = repo.as_deref();
        repo.is_some_and(|directory| repo::exists(directory, name))
    };
    if is_kept(new) || is_in_repo(new) {
        return Err(CliError::new(format!("there is a secret `{new}` already"))
            .hint("choose another name; nothing is overwritten"));
    }
    if !is_kept(old) && !is_in_repo(old) {
        return Err(CliError::new(format!("there is no secret `{old}`")).hint(
            "`pressluft secret list` shows the names; `--repo DIR` looks into a fleet repo, too",
        ));
    }
    // First what can be undone by git.
    if let Some(directory) = repo.as_deref().filter(|_| is_in_repo(old)) {
        in_repo(context, directory, old, new)?;
    }
    if is_kept(old) {
        in_store(context, old, new)?;
    }
    match repo {
        Some(directory) => tell_uses(directory, old, new)?,
        None => output::note(&format!(
            "write `secret:{new}` where documents have `secret:{old}`"
        ))?,
    }
    Ok(Exit::Done)
}

fn in_repo(
    context: &Context,
    directory: &Path,
    old: &SecretName,
    new: &SecretName,
) -> Result<(), CliError> {
    let identity = Identity::load(&context.secrets_dir).map_err(|error| {
        CliError::new(chain(&error)).hint(format!(
            "a file of the fleet repo says inside whose secret it holds, so it is encrypted anew: \
             run this on the control plane, or store the value again with `pressluft secret set \
             {new} --repo DIR`"
        ))
    })?;
    let value = identity.open_file(old.as_str(), &repo::read(directory, old)?)?;
    let path = repo::write(directory, new, &value, &context.secrets_dir)?;
    let gone = repo::remove(directory, old)?;
    output::note(&format!(
        "wrote `{}` and removed `{}`: commit both",
        path.display(),
        gone.display()
    ))
}

fn in_store(context: &Context, old: &SecretName, new: &SecretName) -> Result<(), CliError> {
    let mut store = Store::open(&context.db_path)?;
    let identity = Identity::load(&context.secrets_dir)?;
    let key = FingerprintKey::load_or_make(&context.secrets_dir)?;
    let keys = (&identity, &key);
    if secrets::rename(&mut store, keys, old, new, &actor(), clock::now())? {
        return output::note(&format!("moved `{old}` to `{new}`"));
    }
    Err(CliError::new(format!(
        "`{old}` was moved or `{new}` was set at the same time"
    ))
    .hint("look at `pressluft secret list`, and try again"))
}

/// Where documents refer to the old name. They are the operator's to edit.
fn tell_uses(directory: &Path, old: &SecretName, new: &SecretName) -> Result<(), CliError> {
    let snapshot =
        git::open_working_tree(directory, None).map_err(|error| CliError::new(chain(&error)))?;
    let texts = snapshot.texts();
    let mut uses = Vec::new();
    for file in &snapshot.files {
        let text = texts(&file.path).unwrap_or_default();
        let lines = text.lines().enumerate();
        let lines = lines.filter(|(_, line)| names(line).any(|name| name == old.as_str()));
        uses.extend(lines.map(|(index, _)| format!("  {}:{}", file.path, index + 1)));
    }
    if uses.is_empty() {
        return output::note(&format!("no document uses `secret:{old}`"));
    }
    output::note(&format!(
        "write `secret:{new}` in the place of `secret:{old}` at\n{}",
        uses.join("\n")
    ))
}

/// The names after each `secret:` of a line.
fn names(line: &str) -> impl Iterator<Item = &str> {
    line.match_indices("secret:").filter_map(|(at, _)| {
        let reference = &line[at..];
        let end = reference["secret:".len()..]
            .find(|c: char| !c.is_ascii_lowercase() && !c.is_ascii_digit() && !"/-_.".contains(c))
            .map_or(reference.len(), |end| end + "secret:".len());
        let reference = &reference[..end];
        SecretRef::parse(reference).ok()?;
        reference.strip_prefix("secret:")
    })
}

#[cfg(test)]
mod tests {
    use super::names;

    #[test]
    fn the_names_in_a_line_are_whole() {
        let found = |line: &str| names(line).map(str::to_owned).collect::<Vec<_>>();
        assert_eq!(
            found("auth: { user: a, password: secret:a/b }, x: \"secret:a/bc\""),
            ["a/b", "a/bc"]
        );
        assert_eq!(found("secrets: { grants: [] } # secret: x"), [""; 0]);
    }
}
