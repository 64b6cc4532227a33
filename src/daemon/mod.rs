//! Passes over the fleet: plan, queue, run, recover. Each is a function; looping and signals
//! belong to the caller.

mod error;
mod history;
mod notify;
mod plan;
mod queue;
mod reconcile;
mod run;
mod sources;
mod vet;

pub use error::DaemonError;
pub use history::{Cleared, HistorySettings, Pace, clear_up, keep_clearing_up};
pub use notify::{Delivery, GitHost, StatusTarget, keep_delivering, note_changes};
pub use plan::entitlement::NotEntitled;
pub use plan::files::{FileChange, FileChanges, file_changes};
pub use plan::payload::JobPayload;
pub use plan::planning::{Purpose, plan};
pub use plan::prepared::{Payloads, PlannedRevision, Prepared};
pub use plan::saved_plan::{load as load_plan, save as save_plan};
pub use queue::drift::{drift_check, drift_mode};
pub use queue::enqueue::{Queued, enqueue};
pub use queue::record::after_success;
pub use queue::repeat::repeat;
pub use queue::requests::{Request, queue_requests};
pub use queue::reset::checked_environment;
pub use queue::schedule::{run_due, sync_schedules};
pub use reconcile::cycle::{Reconciled, Shared, keep_reconciling, reconcile_once};
pub use reconcile::readiness::{Hindrance, Readiness, Reason};
pub use reconcile::waker::{Waker, Woken};
pub use reconcile::watch::{HOOK_NOTE, Watch, command_note, hook_note, leave_note, take_note};
pub use reconcile::{
    Access, FleetSource, Judged, Memory, Pass, PassResult, Setup, Trust, reconcile,
};
pub use run::attempt::Runner;
pub use run::parallel::Parallel;
pub use run::progress::{JobEnd, JobLabel, Progress, Wait};
pub use run::recovery::{Recovery, recover};
pub use run::render::{render_in_bounds, render_one};
pub use run::restore::restore;
pub use run::role;
pub use run::stop::{Stop, Urgency};
pub use run::summary::Summary;
pub use run::timeouts::Timeouts;
pub use run::variables::Subject;
pub use run::wanted_jobs::{Jobs, Plans};
pub use run::worker::{Limits, left_behind, run};
pub use run::worker_id::{Life, WorkerId};
pub use sources::SourceSettings;
pub use vet::{has_errors, vet, vet_documents};
