//! Passes over the fleet: plan, queue, run, recover. Each is a function; looping and signals
//! belong to the caller.

mod attempt;
mod checks;
mod disk;
mod drift;
mod error;
mod files;
mod payload;
mod planning;
mod probe;
mod progress;
mod queue;
mod record;
mod recovery;
mod repeat;
mod reset;
mod restore;
pub mod role;
mod saved_plan;
mod sources;
mod stop;
mod summary;
mod timeouts;
mod variables;
mod worker;
mod worker_id;

pub use attempt::Runner;
pub use checks::{Check, queue_checks};
pub use drift::{drift_check, drift_mode, to_check};
pub use error::DaemonError;
pub use files::{FileChange, FileChanges, file_changes};
pub use payload::{JobPayload, PackedPayload, PartDigest, Parts};
pub use planning::{Purpose, plan};
pub use progress::{JobEnd, JobLabel, Progress, Wait};
pub use queue::{PlannedRevision, Prepared, Queued, enqueue};
pub use recovery::{Recovery, recover};
pub use repeat::repeat;
pub use reset::{checked_environment, reset};
pub use restore::restore;
pub use saved_plan::{load as load_plan, save as save_plan};
pub use stop::{Stop, Urgency};
pub use summary::Summary;
pub use timeouts::Timeouts;
pub use variables::{Subject, public_address};
pub use worker::{Jobs, Limits, Plans, left_behind, run};
pub use worker_id::{Life, WorkerId};
