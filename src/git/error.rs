//! Why a fleet repo could not be read at all; problems of single files are diagnostics.

use std::io;
use std::path::{Path, PathBuf};

use super::format::Format;
use super::url::redact;

/// A fleet repo that could not be opened or fetched. No message holds a credential.
#[derive(Debug, thiserror::Error)]
pub enum GitError {
    #[error("there is no directory `{}`", redact(&.0.display().to_string()))]
    NoDirectory(PathBuf),
    #[error("cannot {action} `{}`: {source}", path.display())]
    Io {
        action: &'static str,
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("`{path}` changed while it was being read")]
    Changed { path: String },
    #[error("`{path}` is a git LFS pointer, not the file itself")]
    LfsPointer { path: String },
    #[error("cannot read the git repository of `{place}`: {message}")]
    Repository {
        place: String,
        message: String,
        foreign_owner: bool,
    },
    #[error("cannot read the git repository of `{place}`: {}", .format.what)]
    Format { place: String, format: Format },
    #[error("`{url}` is not a repository that can be fetched: {reason}")]
    InvalidUrl { url: String, reason: &'static str },
    #[error("`{name}` is not a branch, tag or commit id: {reason}")]
    InvalidReference { name: String, reason: &'static str },
    #[error("`{url}` has no {what} `{name}`")]
    NotFound {
        url: String,
        what: &'static str,
        name: String,
    },
    #[error("`{url}` has both a branch and a tag `{name}`")]
    Ambiguous { url: String, name: String },
    #[error("cannot fetch `{url}`: {message}")]
    Fetch { url: String, message: String },
    #[error("git's settings of this user or machine lead `{url}` to `{to}`")]
    Rewritten { url: String, to: String },
    #[error("`{url}` refused the login: {message}")]
    Login { url: String, message: String },
    #[error("the host key of `{host}` is not known: {presented}")]
    HostKeyUnknown {
        host: String,
        presented: String,
        file: PathBuf,
    },
    #[error("the host key of `{host}` is not the recorded one: it presented {presented}")]
    HostKeyMismatch {
        host: String,
        presented: String,
        file: PathBuf,
    },
    #[error("fetching `{url}` took longer than {seconds} s")]
    TooSlow { url: String, seconds: u64 },
    #[error("fetching `{url}` received more than {mebibytes} MiB")]
    TooLarge { url: String, mebibytes: usize },
    #[error("another process has been fetching `{url}` for {seconds} s")]
    Locked { url: String, seconds: u64 },
    #[error("the fetch of `{url}` was interrupted")]
    Interrupted { url: String },
}

impl GitError {
    /// What the operator can do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        Some(match self {
            Self::NoDirectory(_) => {
                "give the path of a fleet repo, or make one with `pressluft init DIR`".to_owned()
            }
            Self::Io { .. } => return None,
            Self::Changed { .. } => "run the command again".to_owned(),
            Self::LfsPointer { .. } => {
                "commit the file itself: `git lfs untrack` it, then add it again".to_owned()
            }
            Self::Repository {
                place,
                foreign_owner: true,
                ..
            } => format!(
                "the repository belongs to another user; to trust it, run `git config --global \
                 --add safe.directory {place}`"
            ),
            Self::Format { format, .. } => format.way_out.to_owned(),
            Self::Repository { .. } => {
                "see what `git fsck` says; partial clones and SHA-256 repositories cannot be read, \
                 a fresh `git clone` can"
                    .to_owned()
            }
            Self::InvalidUrl { .. } => {
                "write `https://HOST/PATH`, `ssh://USER@HOST/PATH`, `USER@HOST:PATH` or \
                 `file:///PATH`"
                    .to_owned()
            }
            Self::InvalidReference { .. } => {
                "write a branch or tag such as `main`, a full name such as `refs/tags/v1`, or all \
                 40 digits of a commit id"
                    .to_owned()
            }
            Self::NotFound { .. } => {
                "list what is there with `git ls-remote URL`; the directory, branch or tag must \
                 have been pushed"
                    .to_owned()
            }
            Self::Ambiguous { name, .. } => {
                format!("write `refs/heads/{name}` or `refs/tags/{name}`")
            }
            Self::Fetch { .. } => {
                "check the address and the network with `git ls-remote URL`".to_owned()
            }
            Self::Rewritten { .. } => "name the other address itself, or take `insteadOf` out: \
                 `git config --show-origin --get-regexp insteadof`"
                .to_owned(),
            Self::Login { .. } => "for ssh, add the key that `pressluft ssh-key` prints to the \
                 repository's deploy keys or load one into the ssh agent; for https, set \
                 `PRESSLUFT_GIT_TOKEN`"
                .to_owned(),
            Self::HostKeyUnknown {
                presented, file, ..
            } => format!(
                "compare it with what the host's operator publishes, then add this line to `{}`: \
                 {presented}",
                file.display()
            ),
            Self::HostKeyMismatch { file, .. } => format!(
                "somebody may be listening in; if the host has really been given a new key, \
                 replace its line in `{}`",
                file.display()
            ),
            Self::TooSlow { .. } => "check the network, then run the command again".to_owned(),
            Self::TooLarge { .. } => {
                "a fleet repo holds text; move large files out of it and out of its history"
                    .to_owned()
            }
            Self::Locked { .. } => "wait for it, or end it, then run the command again".to_owned(),
            Self::Interrupted { .. } => return None,
        })
    }

    pub(super) fn io(action: &'static str, path: &Path, source: io::Error) -> Self {
        Self::Io {
            action,
            path: path.to_owned(),
            source,
        }
    }

    /// An error of libgit2 about a repository that is already on this machine.
    pub(super) fn repository(place: impl Into<String>, error: &git2::Error) -> Self {
        Self::Repository {
            place: place.into(),
            message: redact(error.message()),
            foreign_owner: error.code() == git2::ErrorCode::Owner,
        }
    }
}
