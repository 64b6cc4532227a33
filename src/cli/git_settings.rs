//! Which fleet repo is followed, how it is read and whom it is believed: arguments, then `[git]` of
//! `pressluft.toml`.

use std::path::{Path, PathBuf};

use super::context::Context;
use super::error::CliError;
use super::exit::Exit;
use super::fleet::FleetArgs;
use super::settings::{GitSettings, Signatures};
use crate::core::causes::chain;
use crate::core::document::scalar::SecretRef;
use crate::daemon::{Access, FleetSource, Setup, StatusTarget, Trust};
use crate::git::{Credentials, GitError, Reference, RepoUrl, Signers};
use crate::secrets::{self, Identity, Origin, Secret};
use crate::store::Store;

/// What every reconcile of this state directory is made with.
pub(crate) fn setup(args: &FleetArgs, context: &Context, store: &Store) -> Result<Setup, CliError> {
    let settings = &context.settings.git;
    let cache_dir = context.state_dir.join("cache");
    Ok(Setup {
        access: Access {
            source: source(args, settings)?,
            credentials: credentials(context, store)?,
            cache_dir: super::fleet::cache_dir(context).or(Some(cache_dir)),
            state_dir: context.state_dir.clone(),
        },
        trust: Trust {
            allow_rewind: settings.allow_rewind,
            signers: (settings.signatures == Signatures::Require).then(|| Signers {
                allowed_signers: beside(
                    context,
                    settings.allowed_signers.as_ref(),
                    "allowed_signers",
                ),
                keys: beside(context, settings.signing_keys.as_ref(), "signing-keys"),
            }),
        },
        secrets_dir: context.secrets_dir.clone(),
        sources: context.sources.clone(),
        with_statuses: settings.status.is_some(),
        reserved: context.reserved(),
    })
}

fn beside(context: &Context, path: Option<&PathBuf>, name: &str) -> PathBuf {
    context
        .state_dir
        .join(path.map_or(Path::new(name), PathBuf::as_path))
}

fn source(args: &FleetArgs, settings: &GitSettings) -> Result<FleetSource, CliError> {
    let is_given = args.path.is_some() || args.repo.is_some();
    let (path, repo, reference, subdirectory) = if is_given {
        (&args.path, &args.repo, &args.reference, &args.subdirectory)
    } else {
        let of_file = (
            &settings.path,
            &settings.repo,
            &settings.reference,
            &settings.subdirectory,
        );
        if args.reference.is_some() || args.subdirectory.is_some() {
            return Err(
                CliError::new("`--ref` and `--subdirectory` say which part of `--repo`")
                    .exit(Exit::Usage)
                    .hint("add `--repo URL`"),
            );
        }
        of_file
    };
    let usage = |error: GitError| {
        let cli = CliError::new(chain(&error)).exit(Exit::Usage);
        match error.hint() {
            Some(hint) => cli.hint(hint),
            None => cli,
        }
    };
    let url: RepoUrl = match (path, repo) {
        (Some(_), Some(_)) => {
            return Err(
                CliError::new("`[git]` of `pressluft.toml` has both `path` and `repo`")
                    .exit(Exit::Usage)
                    .hint("keep the one that is meant"),
            );
        }
        (Some(path), None) if is_bare(path) => {
            let path = std::path::absolute(path)?;
            format!("file://{}", path.display())
                .parse()
                .map_err(usage)?
        }
        (Some(path), None) if reference.is_some() || subdirectory.is_some() => {
            return Err(CliError::new(format!(
                "`{}` is a working tree, which has neither `ref` nor `subdirectory`",
                path.display()
            ))
            .exit(Exit::Usage)
            .hint("name its repository with `repo` to follow a reference of it"));
        }
        (Some(path), None) => {
            return Ok(FleetSource::WorkingTree(std::path::absolute(path)?));
        }
        (None, Some(repo)) => repo.parse().map_err(usage)?,
        (None, None) => {
            return Err(CliError::new("no fleet repo is named")
                .exit(Exit::Usage)
                .hint(
                    "give PATH or `--repo URL`, or write `repo` under `[git]` of `pressluft.toml`",
                ));
        }
    };
    Ok(FleetSource::Remote {
        url,
        reference: match reference {
            Some(reference) => reference.parse().map_err(usage)?,
            None => Reference::Head,
        },
        subdirectory: subdirectory.clone().unwrap_or_default(),
    })
}

/// Whether the directory is a repository without files of its own.
pub(super) fn is_bare(path: &Path) -> bool {
    path.join("HEAD").is_file() && path.join("objects").is_dir() && path.join("refs").is_dir()
}

/// How to log in, with what is kept as a secret.
fn credentials(context: &Context, store: &Store) -> Result<Credentials, CliError> {
    let settings = &context.settings.git;
    let mut credentials = context.credentials();
    if credentials.https_user.is_none() {
        credentials.https_user.clone_from(&settings.user);
    }
    if credentials.https_token.is_none() {
        credentials.https_token = revealed(context, store, settings.token.as_ref())?;
    }
    credentials.ssh_key_text = revealed(context, store, settings.ssh_key.as_ref())?;
    Ok(credentials)
}

/// Where the statuses of commits go, if anywhere.
pub(crate) fn status_target(
    context: &Context,
    store: &Store,
) -> Result<Option<StatusTarget>, CliError> {
    let Some(settings) = &context.settings.git.status else {
        return Ok(None);
    };
    let token = revealed(context, store, Some(&settings.token))?;
    Ok(Some(StatusTarget {
        host: settings.host,
        api: settings.api.clone(),
        repository: settings.repository.clone(),
        token: Secret::new(token.unwrap_or_default()),
    }))
}

/// The value of a secret of the control plane's own store, without a final line break; none
/// without a reference.
pub(super) fn revealed(
    context: &Context,
    store: &Store,
    secret: Option<&SecretRef>,
) -> Result<Option<String>, CliError> {
    let Some(secret) = secret else {
        return Ok(None);
    };
    let name = secret.name();
    let failed = |error| {
        CliError::new(chain(&error)).hint(format!("set it with `pressluft secret set {name}`"))
    };
    let identity = Identity::load(&context.secrets_dir).map_err(failed)?;
    let value: Secret<String> =
        secrets::reveal(store, &identity, name, &Origin::Store).map_err(failed)?;
    // The library that logs in takes it as text.
    Ok(Some(value.expose().trim_end_matches('\n').to_owned()))
}
