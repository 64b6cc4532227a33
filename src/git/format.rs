//! Names what a repository has that this version cannot read, with the way out.
//!
//! What reads repositories only says that it cannot. So the repository's own settings are looked at, which are plain text.

use std::fs;
use std::path::{Path, PathBuf};

use super::error::GitError;
use crate::core::plain_text;

/// A form of a repository that cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Format {
    /// What it is, for an error.
    pub what: &'static str,
    /// What makes it one that can be read.
    pub way_out: &'static str,
}

const SHA256: Format = Format {
    what: "its objects have SHA-256 ids",
    way_out: "make a repository with SHA-1 ids (`git init --object-format=sha1`) and commit the files there",
};
const REFTABLE: Format = Format {
    what: "its branches and tags are kept in a reftable",
    way_out: "`git refs migrate --ref-format=files` (git 2.48 and later)",
};
const PARTIAL: Format = Format {
    what: "it is a partial clone",
    way_out: "make a whole one: `git clone` without `--filter`",
};
const RELATIVE: Format = Format {
    what: "its worktrees are linked by relative paths",
    way_out: "`git -c worktree.useRelativePaths=false worktree repair`, then `git config --unset \
              extensions.relativeWorktrees`",
};
const SPLIT: Format = Format {
    what: "its index is split",
    way_out: "`git config --unset core.splitIndex`, then `git update-index --no-split-index`",
};
const SPARSE: Format = Format {
    what: "its index is sparse",
    way_out: "`git sparse-checkout reapply --no-sparse-index`",
};

/// The error of a repository around `root` that could not be read, for the reason in `error`.
pub(super) fn unreadable(root: &Path, error: &git2::Error) -> GitError {
    let is_foreign = matches!(error.code(), git2::ErrorCode::Owner);
    // Whom it trusts, git wants to know by the top of the repository.
    let top = root.ancestors().find(|dir| dir.join(".git").exists());
    let place = top.filter(|_| is_foreign).unwrap_or(root);
    let place = place.display().to_string();
    match git_dir(root).and_then(|dir| format_of(&dir)) {
        Some(format) if !is_foreign => GitError::Format { place, format },
        Some(_) | None => GitError::repository(place, error),
    }
}

/// The directory that git keeps the repository of `root` in.
fn git_dir(root: &Path) -> Option<PathBuf> {
    let mut places = root.ancestors().map(|dir| dir.join(".git"));
    let Some(dot_git) = places.find(|path| path.exists()) else {
        // A bare one is its own.
        return root.join("objects").is_dir().then(|| root.to_owned());
    };
    if dot_git.is_dir() {
        return Some(dot_git);
    }
    let text = fs::read_to_string(&dot_git).ok()?;
    let path = plain_text::unmarked(&text).strip_prefix("gitdir:")?.trim();
    Some(dot_git.parent()?.join(path))
}

fn format_of(dir: &Path) -> Option<Format> {
    let common = fs::read_to_string(dir.join("commondir"));
    let common = common.map_or_else(|_| dir.to_owned(), |path| dir.join(path.trim()));
    let files = [common.join("config"), dir.join("config.worktree")];
    let settings: Vec<git2::Config> = files
        .iter()
        .filter(|path| path.exists())
        .filter_map(|path| git2::Config::open(path).ok())
        .collect();
    let text = |name: &str| {
        let found = settings.iter().rev().find_map(|s| s.get_string(name).ok());
        found.map(|value| value.to_ascii_lowercase())
    };
    let is_on = |name: &str| settings.iter().rev().any(|s| s.get_bool(name) == Ok(true));
    if text("extensions.objectformat").is_some_and(|format| format != "sha1") {
        return Some(SHA256);
    }
    if text("extensions.refstorage").is_some_and(|format| format != "files") {
        return Some(REFTABLE);
    }
    if text("extensions.partialclone").is_some() {
        return Some(PARTIAL);
    }
    if is_on("extensions.relativeworktrees") {
        return Some(RELATIVE);
    }
    let extensions = fs::read(dir.join("index")).unwrap_or_default();
    // They stand behind the entries, and git writes them in no other case.
    let has = |name: &[u8]| extensions.windows(name.len()).any(|part| part == name);
    let shared = fs::read_dir(dir).ok()?.flatten();
    let is_shared = |name: &std::ffi::OsStr| name.to_string_lossy().starts_with("sharedindex.");
    if shared
        .map(|entry| entry.file_name())
        .any(|name| is_shared(&name))
        && has(b"link")
    {
        return Some(SPLIT);
    }
    (is_on("index.sparse") && has(b"sdir")).then_some(SPARSE)
}
