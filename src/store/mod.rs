//! The database: recorded state, plans, the queue, the audit chain and ciphertexts.
//!
//! All SQL of the program is here, and nothing outside knows which database it is. Every
//! writing function is one short `BEGIN IMMEDIATE` transaction; none is open while anything
//! else happens. Time enters as an argument, ids as values (made by [`new_job_id`] and
//! [`new_plan_id`]).

mod api_token;
mod artifact;
mod audit;
mod backup;
mod ballast;
mod check;
mod claim;
mod condition;
mod convert;
mod copy;
mod delivery;
mod drift;
mod due;
mod enqueue;
mod enqueue_requests;
mod error;
mod event;
mod fact;
mod filter;
mod finish;
mod head;
mod history;
mod invariant;
mod job;
mod lease;
mod list;
mod login;
mod machine;
mod notice;
mod open;
mod part;
mod pause;
mod presence;
mod recover;
mod resource;
mod restore;
mod revision;
mod secret;
mod session;
mod sighting;
mod supersede;
mod target;
mod total;
mod trust;
mod unreachable;
mod user;
mod wait;

use std::fs::File;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use rusqlite::{Connection, Transaction, TransactionBehavior};

pub use api_token::ApiToken;
pub use artifact::{Domain, Release, ReleaseHealth, TlsStatus};
pub use audit::{AuditEntry, AuditFilter, Verification};
pub use backup::BackedUp;
pub use ballast::{BALLAST, Ballast};
pub use check::{Checkup, Part, Problem};
pub use claim::{Claim, Clock, Scope};
pub use drift::Drift;
pub use due::{Due, NewSchedule};
pub use enqueue::{Enqueued, Joins, NewJob, NewPlan};
pub use enqueue_requests::Requested;
pub use error::{Result, StoreError};
pub use event::{NewTaskEvent, TaskEvent};
pub use fact::{HostKey, HostKeySource};
pub use finish::{Finish, Outcome};
pub use history::{
    ClearingUp, Closing, Ended, Excess, Growth, HistorySize, Looks, Named, Removed, Scan,
};
pub use invariant::Violation;
pub use job::{Attempt, AttemptEnd, Job, JobContent, JobFilter, JobPage};
pub use lease::LEASE;
pub use list::Seen;
pub use login::{LoginBuckets, LoginGate};
pub use notice::{Channel, Message, NewMessage};
pub use open::{SCHEMA, files_open_to_others};
pub use pause::Pause;
pub use recover::{HeldJob, Process};
pub use resource::{RecordPatch, StateChange};
pub use restore::{Exclusive, Restored};
pub use revision::Revision;
pub use secret::{GeneratedSecret, StoredSecret};
pub use session::Session;
pub use sighting::{NewSighting, Refused, Repository, Sighting, Unreachable};
pub use target::{Hold, NewTarget, TargetState};
pub use total::{Histogram, Measure};
pub use unreachable::UnreachableNode;
pub use user::User;
pub use wait::{OpenJobs, Step, StepKind};

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
            head::note(&self.path, head);
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
