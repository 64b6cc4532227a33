//! Passes over the fleet: plan, queue, run, recover. Each is a function; looping and signals
//! belong to the caller.

mod attempt;
mod error;
mod files;
mod payload;
mod planning;
mod progress;
mod queue;
mod record;
mod recovery;
mod restore;
mod saved_plan;
mod sources;
mod variables;
mod worker;
mod worker_id;

pub use attempt::Runner;
pub use error::DaemonError;
pub use files::{FileChange, FileChanges, file_changes};
pub use payload::{JobPayload, PackedPayload, PartDigest, Parts};
pub use planning::{Purpose, plan};
pub use progress::{JobEnd, JobLabel, Progress};
pub use queue::{PlannedRevision, Prepared, Queued, enqueue};
pub use recovery::{Recovery, recover};
pub use restore::restore;
pub use saved_plan::{load as load_plan, save as save_plan};
pub use variables::{Subject, public_address};
pub use worker::{Plans, Stop, Summary, left_behind, run};
pub use worker_id::{Life, WorkerId};
