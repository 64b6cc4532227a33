//! Running what is queued: workers, attempts, and what keeps either from going on.
//!
//! - [`worker`], [`worker_id`], [`role`], [`parallel`], [`wanted_jobs`]: who runs jobs, and how many at once.
//! - [`attempt`], [`variables`], [`render`], [`timeouts`]: one attempt at a job.
//! - [`disk`], [`probe`], [`stop`]: full disks, nodes that do not answer, signals.
//! - [`recovery`], [`restore`]: after a death.
//! - [`progress`], [`summary`]: what is told of it.

pub(super) mod attempt;
pub(super) mod disk;
pub(super) mod parallel;
pub(super) mod probe;
pub(super) mod progress;
pub(super) mod recovery;
pub(super) mod render;
pub(super) mod restore;
pub mod role;
pub(super) mod stop;
pub(super) mod summary;
pub(super) mod timeouts;
pub(super) mod variables;
pub(super) mod wanted_jobs;
pub(super) mod worker;
pub(super) mod worker_id;
