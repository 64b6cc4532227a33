//! A plan and its jobs as they are queued.

use jiff::Timestamp;

use crate::core::id::ResourceId;
use crate::core::job::{JobOrigin, JobType};
use crate::core::recorded::{JobId, PlanId, ResourceStatus};

/// A plan as it is queued.
#[derive(Clone, Debug)]
pub struct NewPlan {
    pub id: PlanId,
    /// The id of a saved revision.
    pub revision: String,
    pub digest: String,
    /// Whether it covers only a part of the fleet (`--target`, `--exclude`).
    pub partial: bool,
    /// What of it is left out when equal work is queued or runs already.
    pub joins: Joins,
    /// The recorded generation of every resource that the plan touches; 0: not recorded.
    pub expected: Vec<(ResourceId, u64)>,
}

/// What is left out of a plan because work that does the same is queued or runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Joins {
    Nothing,
    /// All of it, when there is such work for each of its jobs.
    Whole,
    /// Each group of jobs that wait for each other, when there is such work for all of the group.
    Groups,
    /// Each job for which there is such work; and nothing new is queued: the plan only ends what it
    /// makes pointless.
    Only,
}

/// One job of a plan. Site and environment follow from its resource.
#[derive(Clone, Debug)]
pub struct NewJob {
    pub id: JobId,
    pub job_type: JobType,
    pub resource: ResourceId,
    /// The name of the node that it works on: its lane.
    pub node: String,
    pub origin: JobOrigin,
    pub max_attempts: u32,
    /// Not claimed before this moment.
    pub run_after: Timestamp,
    /// The status of the resource while the job runs and after it failed, if it is recorded.
    pub status_on_start: Option<ResourceStatus>,
    pub status_on_failure: Option<ResourceStatus>,
    pub reason: String,
    /// For people: a JSON array of differences, secrets as `(sensitive)`. Or the digests of the parts
    /// that it makes all of, `{"made": […]}`.
    pub changes: String,
    /// Whether its success changes what is recorded of a resource.
    pub has_effects: bool,
    /// A JSON object with all that the executor needs, without secrets.
    pub payload: String,
    /// Jobs of the same plan that have to succeed first.
    pub depends_on: Vec<JobId>,
}
