//! Talks to the remote repository: which commit is wanted, and the objects that are missing.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use git2::{
    AutotagOption, CertificateCheckStatus, Direction, ErrorClass, ErrorCode, FetchOptions, Oid,
    ProxyOptions, Remote, RemoteCallbacks, Repository,
};

use super::credentials::{Credentials, Offer};
use super::error::GitError;
use super::fetch::FetchProgress;
use super::host_key::{self, Presented};
use super::limits;
use super::mirror::Mirror;
use super::reference::{Head, Reference};
use super::url::{RepoUrl, Transport, redact};

/// Where the fetched references are kept: nothing else in the copy has a name.
const KEPT: &str = "refs/pressluft";

/// What the thread that fetches and the one that waits both see.
#[derive(Debug, Default)]
pub(super) struct Shared {
    pub(super) cancelled: AtomicBool,
    too_large: AtomicBool,
    received_bytes: AtomicUsize,
    received_objects: AtomicUsize,
    total_objects: AtomicUsize,
    presented: Mutex<Option<Presented>>,
}

impl Shared {
    pub(super) fn progress(&self) -> FetchProgress {
        FetchProgress {
            received_bytes: self.received_bytes.load(Ordering::Relaxed),
            received_objects: self.received_objects.load(Ordering::Relaxed),
            total_objects: self.total_objects.load(Ordering::Relaxed),
        }
    }
}

/// One fetch.
pub(super) struct Transfer {
    pub(super) url: RepoUrl,
    pub(super) reference: Reference,
    /// A commit from which on the history has to be there.
    pub(super) since: Option<Oid>,
    pub(super) credentials: Credentials,
    pub(super) mirror: PathBuf,
    pub(super) shared: Arc<Shared>,
}

impl Transfer {
    /// The commit that is wanted, whose objects are in the copy afterwards.
    pub(super) fn run(&self) -> Result<Oid, GitError> {
        let repository = Mirror::open(&self.mirror)?;
        let mut remote = repository
            .remote_anonymous(self.url.as_str())
            .map_err(|e| self.failed(&e))?;
        let named = remote.url().unwrap_or_default();
        if named != self.url.as_str() {
            return Err(GitError::Rewritten {
                url: self.url.to_string(),
                to: redact(named),
            });
        }
        let mut connection = remote
            .connect_auth(Direction::Fetch, Some(self.callbacks()), Some(proxy()))
            .map_err(|e| self.failed(&e))?;
        let list = connection.list().map_err(|e| self.failed(&e))?;
        let heads: Vec<Head> = list
            .iter()
            .map(|head| (head.name().to_owned(), head.oid()))
            .collect();
        let remote = connection.remote();
        match self.reference.find(&heads, self.url.as_str()) {
            Ok((name, id)) => {
                let kept = format!("{KEPT}/{}", name.trim_start_matches("refs/"));
                let spec = [format!("+{name}:{kept}")];
                if repository.find_object(id, None).is_err() {
                    self.download(remote, &spec, self.depth(&repository))?;
                    self.keep(&repository, &kept, id)?;
                }
                if self.lacks_history(&repository, id) {
                    self.download(remote, &spec, UNSHALLOW)?;
                    self.keep(&repository, &kept, id)?;
                }
                self.commit(&repository, id)
            }
            Err(error) => match self.reference {
                Reference::Commit(id) => self.fetch_commit(&repository, remote, id, error),
                Reference::Head | Reference::Name(_) | Reference::Full(_) | Reference::Range(_) => {
                    Err(error)
                }
            },
        }
    }

    /// How much of the history to ask for: nothing but the commit itself, or what is new.
    fn depth(&self, repository: &Repository) -> i32 {
        match self.since {
            None => 1,
            Some(since) if repository.find_commit(since).is_ok() => AS_BEFORE,
            Some(_) => UNSHALLOW,
        }
    }

    /// Whether the history ends before it leads back to where it has to, because only a part of it
    /// was fetched.
    fn lacks_history(&self, repository: &Repository, id: Oid) -> bool {
        let Some(since) = self.since else {
            return false;
        };
        let is_refreshed = repository.odb().and_then(|odb| odb.refresh()).is_ok();
        let leads_back = self
            .commit(repository, id)
            .is_ok_and(|tip| tip == since || is_descendant(repository, tip, since));
        is_refreshed && !leads_back && repository.is_shallow()
    }

    /// Not every server gives out a commit that no name leads to; but it may be in the
    /// history of a branch or tag.
    fn fetch_commit(
        &self,
        repository: &Repository,
        remote: &mut Remote<'_>,
        id: Oid,
        missing: GitError,
    ) -> Result<Oid, GitError> {
        let has_it = || {
            repository.odb().and_then(|odb| odb.refresh()).is_ok()
                && repository.find_commit(id).is_ok()
        };
        let kept = format!("{KEPT}/commits/{id}");
        let alone = self.download(remote, &[format!("+{id}:{kept}")], 1);
        if matches!(
            alone,
            Err(GitError::Interrupted { .. } | GitError::TooLarge { .. })
        ) {
            alone?;
        }
        if !has_it() {
            let all = ["heads", "tags"].map(|kind| format!("+refs/{kind}/*:{KEPT}/{kind}/*"));
            self.download(remote, &all, UNSHALLOW)?;
        }
        if !has_it() {
            return Err(missing);
        }
        self.keep(repository, &kept, id)?;
        Ok(id)
    }

    fn download(
        &self,
        remote: &mut Remote<'_>,
        specs: &[String],
        depth: i32,
    ) -> Result<(), GitError> {
        let mut options = FetchOptions::new();
        options
            .remote_callbacks(self.callbacks())
            .proxy_options(proxy())
            .depth(depth)
            .download_tags(AutotagOption::None)
            // The file would hold the address that was really used.
            .update_fetchhead(false);
        remote
            .download(specs, Some(&mut options))
            .map_err(|e| self.failed(&e))
    }

    /// Names what was fetched, so that the next fetch can say what is already there.
    fn keep(&self, repository: &Repository, name: &str, id: Oid) -> Result<(), GitError> {
        repository
            .reference(name, id, true, "fetch")
            .map(|_| ())
            .map_err(|e| GitError::repository(self.url.as_str(), &e))
    }

    fn commit(&self, repository: &Repository, id: Oid) -> Result<Oid, GitError> {
        repository
            .find_object(id, None)
            .and_then(|object| object.peel_to_commit())
            .map(|commit| commit.id())
            .map_err(|e| GitError::repository(self.url.as_str(), &e))
    }

    fn callbacks(&self) -> RemoteCallbacks<'_> {
        let mut callbacks = RemoteCallbacks::new();
        let mut offer = Offer::new(&self.url, &self.credentials);
        callbacks.credentials(move |_, user, allowed| offer.next(user, allowed));
        callbacks.transfer_progress(|progress| {
            let shared = &self.shared;
            shared
                .received_bytes
                .store(progress.received_bytes(), Ordering::Relaxed);
            shared
                .received_objects
                .store(progress.received_objects(), Ordering::Relaxed);
            shared
                .total_objects
                .store(progress.total_objects(), Ordering::Relaxed);
            let too_large = progress.received_bytes() > limits::FETCH_BYTES;
            if too_large {
                shared.too_large.store(true, Ordering::Relaxed);
            }
            !too_large && !shared.cancelled.load(Ordering::Relaxed)
        });
        callbacks.certificate_check(|certificate, _| {
            let (Transport::Ssh { host, port }, Some(key)) =
                (&self.url.transport, certificate.as_hostkey())
            else {
                return Ok(CertificateCheckStatus::CertificatePassthrough);
            };
            let own = self.credentials.known_hosts.as_deref();
            let (status, presented) = host_key::check(host, *port, key, own);
            let mismatch = presented.mismatch;
            *self
                .shared
                .presented
                .lock()
                .unwrap_or_else(PoisonError::into_inner) = Some(presented);
            if mismatch {
                let message = "another host key is recorded";
                return Err(git2::Error::new(
                    ErrorCode::Certificate,
                    ErrorClass::Ssh,
                    message,
                ));
            }
            Ok(status)
        });
        callbacks
    }

    /// What an error of libgit2 means here.
    fn failed(&self, error: &git2::Error) -> GitError {
        let url = self.url.to_string();
        let message = redact(error.message());
        if self.shared.too_large.load(Ordering::Relaxed) {
            return GitError::TooLarge {
                url,
                mebibytes: limits::FETCH_BYTES / (1024 * 1024),
            };
        }
        if self.shared.cancelled.load(Ordering::Relaxed) {
            return GitError::Interrupted { url };
        }
        let presented = self
            .shared
            .presented
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        match (error.code(), presented.clone()) {
            (
                ErrorCode::Certificate,
                Some(Presented {
                    host,
                    line,
                    mismatch,
                }),
            ) => {
                let file = self.credentials.known_hosts.clone();
                let file = file.unwrap_or_else(|| "~/.ssh/known_hosts".into());
                if mismatch {
                    GitError::HostKeyMismatch {
                        host,
                        presented: line,
                        file,
                    }
                } else {
                    GitError::HostKeyUnknown {
                        host,
                        presented: line,
                        file,
                    }
                }
            }
            (ErrorCode::Auth, _) => GitError::Login { url, message },
            _ if error.class() == ErrorClass::Ssh && message.contains("auth") => {
                GitError::Login { url, message }
            }
            _ => match error.class() {
                // The copy is damaged, which says nothing about the server.
                ErrorClass::Odb
                | ErrorClass::Object
                | ErrorClass::Reference
                | ErrorClass::Repository
                | ErrorClass::Zlib => GitError::repository(url, error),
                _ => GitError::Fetch { url, message },
            },
        }
    }
}

/// Whether `since` is in the history of `tip` as far as it is there.
fn is_descendant(repository: &Repository, tip: Oid, since: Oid) -> bool {
    repository.graph_descendant_of(tip, since).unwrap_or(false)
}

/// What is new, down to where the history that is there begins.
const AS_BEFORE: i32 = 0;

/// The whole history, also of what was fetched without it before.
const UNSHALLOW: i32 = i32::MAX;

fn proxy() -> ProxyOptions<'static> {
    let mut options = ProxyOptions::new();
    options.auto();
    options
}
