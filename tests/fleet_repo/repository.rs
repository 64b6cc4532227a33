//! Repositories made by the `git` program.

use std::ffi::OsStr;
use std::fs;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use pressluft::git::{
    Credentials, FETCH_TIME, FetchRequest, GitError, Reference, RepoUrl, Snapshot, fetch,
};
use pressluft::process;
use tempfile::TempDir;

/// A working tree in a temporary directory.
pub(crate) struct Repository {
    directory: TempDir,
}

impl Repository {
    /// A repository with one commit that holds `files`.
    pub(crate) fn with(files: &[(&str, &str)]) -> Self {
        let repository = Self {
            directory: tempfile::tempdir().expect("temporary directory"),
        };
        repository.git(["init", "--quiet", "--initial-branch=main"]);
        for (path, content) in files {
            repository.write(path, content);
        }
        repository.commit("First\n\nbody");
        repository
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.directory.path().to_owned()
    }

    pub(crate) fn url(&self) -> String {
        format!("file://{}", self.directory.path().display())
    }

    pub(crate) fn write(&self, path: impl AsRef<Path>, content: impl AsRef<[u8]>) {
        let path = self.directory.path().join(path);
        fs::create_dir_all(path.parent().expect("a parent")).expect("create directory");
        fs::write(path, content).expect("write file");
    }

    /// Commits everything and returns the id.
    pub(crate) fn commit(&self, message: &str) -> String {
        self.git(["add", "--all"]);
        self.git(["commit", "--quiet", "--allow-empty", "--message", message]);
        self.git(["rev-parse", "HEAD"])
    }

    pub(crate) fn git<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>) -> String {
        git(self.directory.path(), args)
    }
}

/// Runs git without the settings of the machine and returns what it said.
pub(crate) fn git<S: AsRef<OsStr>>(directory: &Path, args: impl IntoIterator<Item = S>) -> String {
    let output = process::command("git")
        .current_dir(directory)
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_CONFIG_SYSTEM", "/dev/null")
        .env("GIT_AUTHOR_NAME", "Robin Example")
        .env("GIT_AUTHOR_EMAIL", "robin@studio.example")
        .env("GIT_COMMITTER_NAME", "Robin Example")
        .env("GIT_COMMITTER_EMAIL", "robin@studio.example")
        .env("GIT_AUTHOR_DATE", "2026-02-22T12:00:00Z")
        .env("GIT_COMMITTER_DATE", "2026-02-22T12:00:00Z")
        .args(["-c", "protocol.file.allow=always"])
        .args(args)
        .output()
        .expect("git runs");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

/// Fetches `reference` of `url` with `state` as the state directory.
pub(crate) fn fetch_from(
    url: &str,
    reference: &str,
    state: &Path,
    credentials: &Credentials,
) -> Result<Snapshot, GitError> {
    let url: RepoUrl = url.parse()?;
    let reference: Reference = reference.parse()?;
    let request = FetchRequest {
        url: &url,
        reference: &reference,
        subdirectory: "",
        state_dir: state,
        credentials,
        since: None,
        time_limit: FETCH_TIME,
    };
    fetch(&request, &mut |_| ControlFlow::Continue(()))
}

/// The paths of the files that hold documents.
pub(crate) fn paths(snapshot: &Snapshot) -> Vec<&str> {
    snapshot
        .files
        .iter()
        .map(|file| file.path.as_str())
        .collect()
}

/// File and code of every diagnostic.
pub(crate) fn codes(snapshot: &Snapshot) -> Vec<(&str, &'static str)> {
    snapshot
        .diagnostics
        .iter()
        .map(|d| (d.file.as_str(), d.code))
        .collect()
}
