//! A snapshot of a remote repository: what is missing is fetched, nothing is checked out.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use git2::{Oid, Repository};

use super::credentials::Credentials;
use super::error::GitError;
use super::mirror::{self, Mirror};
use super::objects;
use super::reference::{Head, Reference};
use super::revision::Revision;
use super::snapshot::{Snapshot, Source};
use super::transfer::{Shared, Transfer};
use super::url::RepoUrl;
use super::{format, limits};

/// What to fetch, and with what.
#[derive(Clone, Debug)]
pub struct FetchRequest<'a> {
    pub url: &'a RepoUrl,
    pub reference: &'a Reference,
    /// The fleet root in the repository; empty when it is the repository's own root.
    pub subdirectory: &'a str,
    pub state_dir: &'a Path,
    pub credentials: &'a Credentials,
    /// A commit from which on the history has to come along, for who checks what happened since.
    pub since: Option<&'a str>,
    /// For waiting on other processes, and again for the transfer; [`FETCH_TIME`] if in doubt.
    pub time_limit: Duration,
}

/// How long a fetch may take where nothing else is wanted.
pub const FETCH_TIME: Duration = limits::FETCH_TIME;

/// How far a fetch has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FetchProgress {
    pub received_bytes: usize,
    pub received_objects: usize,
    pub total_objects: usize,
}

/// The files of one commit of a remote repository.
///
/// `progress` is called about ten times a second and ends the fetch with `Break`. A
/// repository on this machine is read where it is.
///
/// # Errors
/// [`GitError`] when the repository cannot be reached or read, has no such reference, or is
/// too large or too slow. Refused files are diagnostics of the snapshot.
pub fn fetch(
    request: &FetchRequest<'_>,
    progress: &mut dyn FnMut(FetchProgress) -> ControlFlow<()>,
) -> Result<Snapshot, GitError> {
    let prefix = subdirectory(request.subdirectory)?;
    let found = find(request, progress)?;
    snapshot(request, found, &prefix)
}

/// The same, or none when the commit is still the one with the id `known`.
///
/// # Errors
/// Those of [`fetch`].
pub fn fetch_unless(
    known: Option<&str>,
    request: &FetchRequest<'_>,
    progress: &mut dyn FnMut(FetchProgress) -> ControlFlow<()>,
) -> Result<Option<Snapshot>, GitError> {
    let prefix = subdirectory(request.subdirectory)?;
    let found = find(request, progress)?;
    if known == Some(found.commit.to_string().as_str()) {
        return Ok(None);
    }
    snapshot(request, found, &prefix).map(Some)
}

/// A commit and where it is.
struct Found {
    path: PathBuf,
    repository: Repository,
    commit: Oid,
    /// Nobody changes the copy meanwhile.
    _mirror: Option<Mirror>,
}

fn find(
    request: &FetchRequest<'_>,
    progress: &mut dyn FnMut(FetchProgress) -> ControlFlow<()>,
) -> Result<Found, GitError> {
    if let Some(path) = request.url.local_path() {
        let repository = open_local(path, request.url)?;
        let commit = resolve_local(&repository, request)?;
        return Ok(Found {
            path: path.to_owned(),
            repository,
            commit,
            _mirror: None,
        });
    }
    let mirror = Mirror::lock(request.state_dir, request.url, request.time_limit)?;
    let first = fetch_into(&mirror, request, progress);
    let (repository, commit) = match first {
        // A damaged copy is no reason to bother anybody: it can be fetched again.
        Err(GitError::Repository { message, .. }) => {
            tracing::warn!(url = %request.url, %message, "the copy is damaged and is made anew");
            mirror::remove(&mirror.path)?;
            fetch_into(&mirror, request, progress)?
        }
        other => other?,
    };
    Ok(Found {
        path: mirror.path.clone(),
        repository,
        commit,
        _mirror: Some(mirror),
    })
}

fn fetch_into(
    mirror: &Mirror,
    request: &FetchRequest<'_>,
    progress: &mut dyn FnMut(FetchProgress) -> ControlFlow<()>,
) -> Result<(Repository, Oid), GitError> {
    let repository = Mirror::open(&mirror.path)?;
    let commit = match request.reference {
        Reference::Commit(id) if repository.find_commit(*id).is_ok() => *id,
        _ => transfer(mirror, request, progress)?,
    };
    // The transfer had a handle of its own; this one has to look again.
    let repository = match repository.odb().and_then(|odb| odb.refresh()) {
        Ok(()) => repository,
        Err(_) => Mirror::open(&mirror.path)?,
    };
    Ok((repository, commit))
}

/// Runs the transfer in a thread of its own, because libgit2 waits for a silent server
/// without end. A thread that is given up notices at its next byte and writes nothing more.
fn transfer(
    mirror: &Mirror,
    request: &FetchRequest<'_>,
    progress: &mut dyn FnMut(FetchProgress) -> ControlFlow<()>,
) -> Result<Oid, GitError> {
    let shared = Arc::new(Shared::default());
    let transfer = Transfer {
        url: request.url.clone(),
        reference: request.reference.clone(),
        since: request.since.and_then(|since| Oid::from_str(since).ok()),
        credentials: request.credentials.clone(),
        mirror: mirror.path.clone(),
        shared: Arc::clone(&shared),
    };
    let (sender, receiver) = mpsc::channel();
    let work = move || {
        // Nobody listens any more when the time was over.
        if sender.send(transfer.run()).is_err() {
            tracing::debug!("a fetch ended after it had been given up");
        }
    };
    thread::Builder::new()
        .name("fetch".to_owned())
        .spawn(work)
        .map_err(|e| GitError::io("start a thread for", &mirror.path, e))?;

    let url = || request.url.to_string();
    let started = Instant::now();
    let error = loop {
        match receiver.recv_timeout(Duration::from_millis(100)) {
            Ok(result) => return result,
            Err(RecvTimeoutError::Disconnected) => {
                let message = "the transfer ended without a result".to_owned();
                return Err(GitError::Fetch {
                    url: url(),
                    message,
                });
            }
            Err(RecvTimeoutError::Timeout) => {}
        }
        if progress(shared.progress()).is_break() {
            break GitError::Interrupted { url: url() };
        }
        if started.elapsed() > request.time_limit {
            break GitError::TooSlow {
                url: url(),
                seconds: request.time_limit.as_secs(),
            };
        }
    };
    shared.cancelled.store(true, Ordering::Relaxed);
    Err(error)
}

fn snapshot(request: &FetchRequest<'_>, found: Found, prefix: &str) -> Result<Snapshot, GitError> {
    let repository = &found.repository;
    let fail = |e: git2::Error| GitError::repository(request.url.as_str(), &e);
    let commit = repository.find_commit(found.commit).map_err(fail)?;
    let tree = objects::subtree(repository, &commit, prefix)
        .map_err(fail)?
        .ok_or_else(|| GitError::NotFound {
            url: request.url.to_string(),
            what: "directory",
            name: prefix.trim_end_matches('/').to_owned(),
        })?;
    let rules = objects::ignore_rules(repository, &tree).map_err(fail)?;
    let (files, diagnostics) = objects::select(repository, &tree, &rules)
        .map_err(fail)?
        .finish();
    let identity = blake3::hash(format!("{} {prefix}", request.url).as_bytes()).to_hex();
    let source = Source::Objects {
        repository: found.path,
    };
    let revision = Revision::of(&commit);
    Ok(Snapshot::new(
        revision,
        identity[..24].to_owned(),
        source,
        files,
        diagnostics,
    ))
}

fn open_local(path: &Path, url: &RepoUrl) -> Result<Repository, GitError> {
    Repository::open(path).map_err(|error| match error.code() {
        git2::ErrorCode::NotFound => GitError::Fetch {
            url: url.to_string(),
            message: "there is no repository".to_owned(),
        },
        _ => format::unreadable(path, &error),
    })
}

fn resolve_local(repository: &Repository, request: &FetchRequest<'_>) -> Result<Oid, GitError> {
    let fail = |e: git2::Error| GitError::repository(request.url.as_str(), &e);
    if let Reference::Commit(id) = request.reference {
        return match repository.find_commit(*id) {
            Ok(commit) => Ok(commit.id()),
            Err(_) => request
                .reference
                .find(&[], request.url.as_str())
                .map(|(_, id)| id),
        };
    }
    let mut heads: Vec<Head> = Vec::new();
    if let Ok(head) = repository.head() {
        heads.extend(head.target().map(|id| ("HEAD".to_owned(), id)));
    }
    for reference in repository.references().map_err(fail)?.flatten() {
        if let (Ok(name), Ok(object)) = (reference.name(), reference.peel(git2::ObjectType::Any)) {
            heads.push((name.to_owned(), object.id()));
        }
    }
    let (_, id) = request.reference.find(&heads, request.url.as_str())?;
    let object = repository.find_object(id, None).map_err(fail)?;
    Ok(object.peel_to_commit().map_err(fail)?.id())
}

/// The subdirectory as a prefix that ends with `/`, or empty.
fn subdirectory(text: &str) -> Result<String, GitError> {
    let parts: Vec<&str> = text
        .split('/')
        .filter(|p| !p.is_empty() && *p != ".")
        .collect();
    if text.starts_with('/') || parts.contains(&"..") {
        return Err(GitError::NoDirectory(text.into()));
    }
    Ok(parts.iter().map(|part| format!("{part}/")).collect())
}
