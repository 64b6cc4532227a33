//! A disk that is full, read-only or failing: nothing new starts, what runs goes on and records
//! its end in the room that was held back, and it goes on when the disk is good again.

use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};

use super::super::error::DaemonError;
use super::progress::Progress;
use super::stop::Reins;
use crate::ansible;
use crate::clock;
use crate::core::causes::chain;
use crate::core::job::{ErrorCode, JobStatus};
use crate::core::outcome::Failure;
use crate::store::{Ballast, Finish, Outcome, Store, StoreError};

/// How long a worker without work waits for the disk, and an attempt to record its end.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long the end of an attempt waits for another process that keeps the database locked.
pub(super) const LONGEST_BUSY: Duration = Duration::from_secs(300);
/// How often the disk is looked at meanwhile.
const PAUSE: Duration = Duration::from_millis(500);
/// When a job that the disk stopped is tried again.
const AGAIN: SignedDuration = SignedDuration::from_secs(2);
/// Less than this is no room: a control plane's own small files do not fit.
const NO_ROOM: u64 = 256 * 1024;
/// What the files of a large job take.
const FILES: usize = 1024 * 1024;

/// What a worker knows about the disk of its database.
#[derive(Debug)]
pub(super) struct Disk {
    ballast: Ballast,
    database: PathBuf,
    /// Where the files of attempts are written, which may be another file system.
    run_dir: PathBuf,
    closed: Option<Closed>,
    has_given_up: bool,
}

/// Why nothing starts.
#[derive(Debug)]
struct Closed {
    error: StoreError,
    since: Instant,
    looked: Instant,
}

impl Disk {
    /// What a worker on this database begins with.
    pub(in crate::daemon) fn new(store: &Store, run_dir: PathBuf) -> Self {
        Self {
            ballast: store.ballast(),
            database: store.path().to_owned(),
            run_dir,
            closed: None,
            has_given_up: false,
        }
    }

    /// Takes an error of the disk, after which nothing starts, and gives every other one back.
    pub(super) fn meet(
        &mut self,
        error: DaemonError,
        watch: &mut dyn FnMut(Progress),
    ) -> Option<DaemonError> {
        match error {
            DaemonError::Store(error) if error.is_of_disk() && !self.has_given_up => {
                self.close(error, watch);
                None
            }
            other => Some(other),
        }
    }

    /// Takes notice that the disk has stopped a job: nothing starts where the files of the next one
    /// cannot be written either.
    pub(super) fn stopped_a_job(&mut self, watch: &mut dyn FnMut(Progress)) {
        if let Err(error) = self.try_files() {
            self.close(error, watch);
        }
    }

    /// Looks whether a disk that was in the way is good again: the room can be held back, files can
    /// be written, and the database was opened anew and checked.
    pub(in crate::daemon) fn look(&mut self, store: &mut Store, watch: &mut dyn FnMut(Progress)) {
        let Some(closed) = &mut self.closed else {
            return;
        };
        if closed.looked.elapsed() < PAUSE {
            return;
        }
        closed.looked = Instant::now();
        let is_good = self.hold_room().and_then(|()| self.try_files());
        if is_good.and_then(|()| store.regain_trust()).is_ok() {
            self.closed = None;
            watch(Progress::Disk {
                database: self.database.clone(),
                trouble: None,
            });
        }
    }

    /// Whether a job may start: the disk works, and the room for its end is held back.
    pub(super) fn lets_start(&mut self, watch: &mut dyn FnMut(Progress)) -> bool {
        if self.closed.is_none()
            && let Err(error) = self.hold_room()
        {
            self.close(error, watch);
        }
        self.closed.is_none()
    }

    /// Ends the waiting of a worker that has nothing else to do.
    ///
    /// # Errors
    /// What the disk did, when it has done so for too long.
    pub(super) fn lose_patience(&mut self) -> Result<(), DaemonError> {
        let is_over = |closed: &mut Closed| closed.since.elapsed() >= PATIENCE;
        match self.closed.take_if(is_over) {
            None => Ok(()),
            Some(closed) => {
                self.has_given_up = true;
                Err(closed.error.into())
            }
        }
    }

    fn close(&mut self, error: StoreError, watch: &mut dyn FnMut(Progress)) {
        if self.closed.is_some() {
            return;
        }
        watch(Progress::Disk {
            database: self.database.clone(),
            trouble: Some(chain(&error)),
        });
        let now = Instant::now();
        self.closed = Some(Closed {
            error,
            since: now,
            looked: now,
        });
    }

    /// Writes what an attempt would write, and takes it away again.
    fn try_files(&self) -> Result<(), StoreError> {
        ansible::try_room(&self.run_dir, FILES).map_err(|source| StoreError::NoFiles {
            path: self.run_dir.clone(),
            source,
        })
    }

    fn hold_room(&self) -> Result<(), StoreError> {
        self.ballast.make().map_err(|source| StoreError::NoReserve {
            path: self.ballast.path().to_owned(),
            source,
        })
    }
}

/// Records the end of an attempt, with patience for the disk.
pub(super) fn record_end(
    store: &mut Store,
    finish: &Finish<'_>,
    actor: &str,
    reins: &Reins,
) -> Result<JobStatus, StoreError> {
    let begun = Instant::now();
    loop {
        // Who was asked to stop does not let others wait for so long.
        let longest_busy = match reins.reason() {
            None => LONGEST_BUSY,
            Some(_) => PATIENCE,
        };
        match store.finish(finish, actor, clock::now()) {
            Err(error)
                if (error.is_of_disk() && begun.elapsed() < PATIENCE)
                    || (error.is_busy() && begun.elapsed() < longest_busy) =>
            {
                tracing::warn!(job = %finish.job, %error, "the end of the job cannot be recorded yet");
                thread::sleep(PAUSE);
            }
            other => return other,
        }
    }
}

/// Whether the disk of the database made this error, or a process that kept the database locked.
pub(super) fn is_in_the_way(error: &DaemonError) -> bool {
    matches!(error, DaemonError::Store(error) if error.is_of_disk() || error.is_busy())
}

/// What becomes of a job that the disk of the control plane has stopped: it was not the job's
/// fault, so it is tried again. None when it was something else.
pub(super) fn excuse(store: &Store, failure: &Failure, in_the_way: bool) -> Option<Outcome> {
    // Ansible, and what prepares it, write files there, too.
    let is_local = matches!(
        failure.code,
        ErrorCode::InternalError
            | ErrorCode::AnsibleUnexpectedError
            | ErrorCode::AnsibleUnknownExit
            | ErrorCode::AnsiblePlayError
            | ErrorCode::SshAuthFailed
    );
    let ballast = store.ballast();
    let is_full = || !ballast.is_whole() && ballast.room().is_ok_and(|room| room < NO_ROOM);
    let is_excused = in_the_way || failure.of_disk || (is_local && is_full());
    is_excused.then(|| Outcome::Retry {
        code: ErrorCode::JobInterrupted,
        message: format!(
            "the disk or database of the control plane was in the way: {}",
            failure.message
        ),
        // Not at once: what is full now may be full for a while without the database noticing.
        run_after: clock::now().saturating_add(AGAIN).unwrap_or(Timestamp::MAX),
        spend_attempt: false,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_excuses_also_when_there_is_room_again() {
        let directory = tempfile::tempdir().expect("a directory");
        let store = Store::open(&directory.path().join("state.db")).expect("opened");
        let failure = Failure::new(ErrorCode::AnsibleUnexpectedError, "no space left");
        assert_eq!(excuse(&store, &failure, false), None);
        let of_disk = Failure {
            of_disk: true,
            ..failure
        };
        let excused = excuse(&store, &of_disk, false);
        let is_free = matches!(
            excused,
            Some(Outcome::Retry {
                spend_attempt: false,
                ..
            })
        );
        assert!(is_free, "{excused:?}");
    }
}
