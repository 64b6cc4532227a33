//! Files whose change wakes the reconcile loop: the working tree, the references of a bare
//! repository on this machine, and the mailbox that commands and hooks leave a note in.
//!
//! It is an accelerator. Where the kernel watches no more directories, the interval is left.

use std::fs::{DirBuilder, File};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use notify::event::{AccessKind, AccessMode};
use notify::{Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher};

use super::super::reconcile::FleetSource;
use super::waker::Waker;
use crate::core::reconcile::Cause;

/// The file that the `post-receive` hook of a bare repository touches, beside its `HEAD`.
pub const HOOK_NOTE: &str = "pressluft.wake";

/// The mailbox of a state directory.
const MAILBOX: &str = "wake";

/// The file in the mailbox that asks for a pass. The daemon removes it when the pass is over.
#[must_use]
pub fn command_note(state_dir: &Path) -> PathBuf {
    state_dir.join(MAILBOX).join("command")
}

/// The file in the mailbox that a hook touches.
#[must_use]
pub fn hook_note(state_dir: &Path) -> PathBuf {
    state_dir.join(MAILBOX).join("hook")
}

/// Asks whoever reconciles for this state directory for a pass.
///
/// # Errors
/// When the note cannot be written.
pub fn leave_note(path: &Path) -> io::Result<()> {
    make_mailbox(path)?;
    File::create(path).map(drop)
}

/// Takes a note away that was answered. One that is not there is no error.
///
/// # Errors
/// When it cannot be removed.
pub fn take_note(path: &Path) -> io::Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        Ok(()) | Err(_) => Ok(()),
    }
}

fn make_mailbox(note: &Path) -> io::Result<()> {
    let Some(directory) = note.parent() else {
        return Ok(());
    };
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(directory)
}

/// Watches until it is dropped.
#[derive(Debug)]
pub struct Watch {
    _watcher: RecommendedWatcher,
}

impl Watch {
    /// Wakes `waker` when `source` or the mailbox of `state_dir` changes.
    ///
    /// # Errors
    /// When nothing can be watched at all. Where only a part cannot, that is told to the log.
    pub fn start(source: &FleetSource, state_dir: &Path, waker: Waker) -> notify::Result<Self> {
        let mailbox = command_note(state_dir);
        make_mailbox(&mailbox)?;
        let mailbox = mailbox.parent().unwrap_or(state_dir).to_owned();
        let (root, places) = places(source);
        let judge = Judge {
            root,
            mailbox: mailbox.clone(),
        };
        let mut watcher =
            notify::recommended_watcher(move |event: notify::Result<Event>| match event {
                Ok(event) => {
                    if let Some(cause) = judge.cause(&event) {
                        waker.wake(cause);
                    }
                }
                Err(error) => tracing::warn!(%error, "cannot watch files"),
            })?;
        watcher.watch(&mailbox, RecursiveMode::NonRecursive)?;
        for (path, mode) in places {
            if let Err(error) = watcher.watch(&path, mode) {
                tracing::warn!(path = %path.display(), %error,
                    "changes are seen at the next interval only");
            }
        }
        Ok(Self { _watcher: watcher })
    }
}

/// The root of a working tree, and what is watched of the fleet repo.
fn places(source: &FleetSource) -> (Option<PathBuf>, Vec<(PathBuf, RecursiveMode)>) {
    match source {
        FleetSource::WorkingTree(path) => {
            let root = path.canonicalize().unwrap_or_else(|_| path.clone());
            (Some(root.clone()), vec![(root, RecursiveMode::Recursive)])
        }
        FleetSource::Remote { url, .. } => match url.local_path() {
            Some(path) => {
                let git = path.join(".git");
                let bare = if git.is_dir() { git } else { path.to_owned() };
                let refs = bare.join("refs");
                (
                    None,
                    vec![
                        (bare, RecursiveMode::NonRecursive),
                        (refs, RecursiveMode::Recursive),
                    ],
                )
            }
            None => (None, Vec::new()),
        },
    }
}

/// Tells events that mean something from the others.
struct Judge {
    root: Option<PathBuf>,
    mailbox: PathBuf,
}

impl Judge {
    fn cause(&self, event: &Event) -> Option<Cause> {
        let is_write = match event.kind {
            EventKind::Create(_) | EventKind::Modify(_) => true,
            EventKind::Access(AccessKind::Close(AccessMode::Write)) => true,
            // In the mailbox it is the answer.
            EventKind::Remove(_) => !event.paths.iter().any(|path| self.is_mail(path)),
            EventKind::Access(_) | EventKind::Any | EventKind::Other => false,
        };
        if !is_write {
            return None;
        }
        let causes = event.paths.iter().filter_map(|path| self.of_path(path));
        causes.min()
    }

    fn is_mail(&self, path: &Path) -> bool {
        path.parent() == Some(self.mailbox.as_path())
    }

    fn of_path(&self, path: &Path) -> Option<Cause> {
        if self.is_mail(path) {
            let is_hook = path.file_name().is_some_and(|name| name == "hook");
            return Some(if is_hook { Cause::Hook } else { Cause::Command });
        }
        match &self.root {
            Some(root) => {
                let relative = path.strip_prefix(root).ok()?;
                let mut parts = relative.components().map(|part| part.as_os_str());
                // What git does for itself is no change of the fleet; a commit moves a reference.
                let counts = match parts.next() {
                    Some(first) if first == ".git" => parts
                        .next()
                        .is_some_and(|name| name == "HEAD" || name == "refs"),
                    Some(_) | None => true,
                };
                counts.then_some(Cause::FileChange)
            }
            // A reference is written as a lock file first, and takes its name after that.
            None => {
                let is_lock = path.extension().is_some_and(|end| end == "lock");
                let name = path.file_name()?;
                let in_refs = path.components().any(|part| part.as_os_str() == "refs");
                let counts =
                    in_refs || name == HOOK_NOTE || name == "packed-refs" || name == "HEAD";
                (counts && !is_lock).then_some(Cause::Hook)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use notify::event::{CreateKind, ModifyKind, RemoveKind};

    use super::*;

    fn cause(judge: &Judge, kind: EventKind, path: &str) -> Option<Cause> {
        judge.cause(&Event::new(kind).add_path(PathBuf::from(path)))
    }

    #[test]
    fn only_what_concerns_the_fleet_wakes() {
        let mailbox = PathBuf::from("/state/wake");
        let tree = Judge {
            root: Some(PathBuf::from("/fleet")),
            mailbox: mailbox.clone(),
        };
        let bare = Judge {
            root: None,
            mailbox,
        };
        let write = EventKind::Modify(ModifyKind::Any);
        let create = EventKind::Create(CreateKind::File);
        let remove = EventKind::Remove(RemoveKind::File);
        let read = EventKind::Access(AccessKind::Open(AccessMode::Read));
        let file = Some(Cause::FileChange);
        assert_eq!(cause(&tree, write, "/fleet/sites/a.yaml"), file);
        assert_eq!(cause(&tree, remove, "/fleet/sites/a.yaml"), file);
        assert_eq!(cause(&tree, write, "/fleet/.git/refs/heads/main"), file);
        assert_eq!(cause(&tree, write, "/fleet/.git/index"), None);
        assert_eq!(cause(&tree, read, "/fleet/sites/a.yaml"), None);
        let hook = Some(Cause::Hook);
        assert_eq!(cause(&bare, create, "/srv/f.git/refs/heads/main"), hook);
        assert_eq!(
            cause(&bare, create, "/srv/f.git/refs/heads/main.lock"),
            None
        );
        assert_eq!(cause(&bare, write, "/srv/f.git/pressluft.wake"), hook);
        assert_eq!(cause(&bare, write, "/srv/f.git/config"), None);
        let command = Some(Cause::Command);
        assert_eq!(cause(&bare, create, "/state/wake/command"), command);
        assert_eq!(cause(&bare, remove, "/state/wake/command"), None);
        assert_eq!(cause(&tree, create, "/state/wake/hook"), hook);
    }
}
