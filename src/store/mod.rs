//! The database: recorded state, plans, the queue, the audit chain and ciphertexts.
//!
//! All SQL of the program is here, and nothing outside knows which database it is. Every
//! writing function is one short `BEGIN IMMEDIATE` transaction; none is open while anything
//! else happens. Time enters as an argument, ids as values (made by [`new_job_id`] and
//! [`new_plan_id`]).

mod access;
mod audit;
mod convert;
mod error;
mod filter;
mod history;
mod notice;
mod queue;
mod record;
mod repository;
mod sql;
mod sqlite;
mod total;

use std::fs::File;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use sql::{Connection, Transaction, TransactionBehavior};

pub use access::api_token::ApiToken;
pub use access::login::{LoginBuckets, LoginGate};
pub use access::session::Session;
pub use access::user::User;
pub use audit::{AuditEntry, AuditFilter, Verification};
pub use error::{Result, StoreError};
pub use history::{
    ClearingUp, Closing, Ended, Excess, Growth, HistorySize, Looks, Named, Removed, Scan,
};
pub use notice::{Channel, Message, NewMessage};
pub use queue::claim::{Claim, Clock, Scope};
pub use queue::enqueue::Enqueued;
pub use queue::enqueue_requests::Requested;
pub use queue::event::{NewTaskEvent, TaskEvent};
pub use queue::finish::{Finish, Outcome};
pub use queue::job::{Attempt, AttemptEnd, Job, JobContent, JobFilter, JobPage};
pub use queue::lease::{LEASE, Process};
pub use queue::new_plan::{Joins, NewJob, NewPlan};
pub use queue::pause::Pause;
pub use queue::recover::LeasedJob;
pub use queue::unreachable::UnreachableNode;
pub use queue::wait::{OpenJobs, Step, StepKind};
pub use record::artifact::{Domain, Release, ReleaseHealth, TlsStatus};
pub use record::drift::Drift;
pub use record::due::{Due, NewSchedule};
pub use record::fact::{HostKey, HostKeySource};
pub use record::list::Seen;
pub use record::resource::{RecordPatch, StateChange};
pub use record::revision::Revision;
pub use record::secret::{GeneratedSecret, StoredSecret};
pub use record::target::{Hold, NewTarget, TargetState};
pub use repository::sighting::{NewSighting, Refused, Repository, Sighting, Unreachable};
pub use sqlite::backup::BackedUp;
pub use sqlite::ballast::{BALLAST, Ballast};
pub use sqlite::check::{CheckedPart, Checkup, Problem};
pub use sqlite::invariant::Violation;
pub use sqlite::open::{SCHEMA, files_open_to_others};
pub use sqlite::restore::{Exclusive, Restored};
pub use total::{Histogram, Measure};

use crate::core::recorded::{JobId, PlanId};
use crate::crash_point::reach;

/// An open database. One per thread; processes and threads meet in the file.
pub struct Store {
    connection: Connection,
    path: PathBuf,
    /// The node that the last claim took, so that the next one starts after it.
    last_node: String,
    /// The number of the last audit entry that this handle wrote to the head file.
    noted: u64,
    /// Whether a write failed in a way that leaves open what the disk has of it.
    distrusted: bool,
    /// Says that this process has the database open, as long as it has.
    _presence: Option<File>,
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Store")
            .field("path", &self.path)
            .finish_non_exhaustive()
    }
}

impl Store {
    fn new(connection: Connection, path: &Path, presence: Option<File>) -> Self {
        Self {
            connection,
            path: path.to_owned(),
            last_node: String::new(),
            noted: 0,
            distrusted: false,
            _presence: presence,
        }
    }

    /// Where the database file is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Runs `work` in one writing transaction and commits it, or undoes it when `work` fails.
    fn write<T>(&mut self, work: impl FnOnce(&Transaction<'_>) -> Result<T>) -> Result<T> {
        if self.distrusted {
            self.regain_trust()?;
        }
        let result = self
            .transact(work)
            .map_err(|error| error.located(&self.path));
        self.distrusted = matches!(result, Err(StoreError::Io(_)));
        result
    }

    fn transact<T>(&mut self, work: impl FnOnce(&Transaction<'_>) -> Result<T>) -> Result<T> {
        let transaction = self
            .connection
            .transaction_with_behavior(TransactionBehavior::Immediate)?;
        reach("write: begun");
        let value = work(&transaction)?;
        let head = audit::head(&transaction)?;
        reach("write: ready");
        transaction.commit()?;
        reach("write: committed");
        if head.seq > self.noted {
            sqlite::head::note(&self.path, head);
            self.noted = head.seq;
        }
        reach("write: noted");
        Ok(value)
    }
}

/// A fresh identity for a job that is made at `now`.
#[must_use]
pub fn new_job_id(now: Timestamp) -> JobId {
    JobId::new(now, rand::random())
}

/// A fresh identity for a plan that is queued at `now`.
#[must_use]
pub fn new_plan_id(now: Timestamp) -> PlanId {
    PlanId::new(now, rand::random())
}
