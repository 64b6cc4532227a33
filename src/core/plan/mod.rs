//! The planner: changes in, an immutable and ordered set of jobs out.
//!
//! Pure and deterministic: the same commit and the same record give the same plan, byte for
//! byte. Everything that the executor needs to know is decided here; it makes no choices.

mod block;
mod build;
mod follow;
mod form;
mod input;
mod order;
pub mod rails;
pub mod secret;
mod shown;
mod sight;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::{Deserialize, Serialize};

use super::change::{Change, SpecPatch};
use super::fingerprint::Fingerprints;
use super::id::ResourceId;
use super::job::JobType;
use super::recorded::Source;
pub use block::BlockCode;
pub use build::build;
pub use follow::{Followed, left_behind, let_go};
pub use form::Forms;
pub use input::{Choice, PlanInput, Recorded, Wanted};
pub use shown::{Shown, changes_of_new};

/// What a job does to its resource, for the marks and counts of the output.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Action {
    Create,
    Update,
    Delete,
    /// Neither makes nor changes a resource: checks, purges.
    Run,
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Create => "create",
            Self::Update => "update",
            Self::Delete => "delete",
            Self::Run => "run",
        })
    }
}

/// What a finished job leaves in the record of one resource.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Effect {
    pub resource: ResourceId,
    pub patch: SpecPatch,
    pub source: Option<Source>,
    /// What the files are made of besides the spec; a template that is gone has an empty one.
    pub fingerprints: Fingerprints,
}

/// One job that the plan asks for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PlannedJob {
    /// `j0`, `j1`, … in the order of the plan.
    pub id: String,
    pub job_type: JobType,
    pub resource: ResourceId,
    pub node: String,
    pub action: Action,
    pub reason: String,
    /// The differences that it carries out of what is recorded. What it makes is in its effects alone.
    pub changes: Vec<Change>,
    /// Jobs of this plan that must have succeeded before.
    pub after: Vec<String>,
    pub effects: Vec<Effect>,
}

/// A change that has to wait, and why.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Blocked {
    pub resource: ResourceId,
    pub code: BlockCode,
    pub message: String,
}

/// A resource that is recorded and that no document asks for any more.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Removed {
    pub resource: ResourceId,
    pub message: String,
}

/// A change that needs no job: applying the plan records it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RecordOnly {
    pub resource: ResourceId,
    pub changes: Vec<Change>,
    pub effect: Effect,
}

/// What would happen, in order. Nothing of it is decided again when it is applied.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    pub jobs: Vec<PlannedJob>,
    pub records: Vec<RecordOnly>,
    pub blocked: Vec<Blocked>,
    pub removed: Vec<Removed>,
    /// The recorded generation of every resource that the plan touches; 0 where there is none.
    pub generations: BTreeMap<ResourceId, u64>,
    /// Whether `--target` or `--exclude` left something out.
    pub partial: bool,
}

/// How many there are of each kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    pub jobs: usize,
    pub create: usize,
    pub update: usize,
    pub delete: usize,
    pub blocked: usize,
    pub removed: usize,
    /// Recorded without a job, and not counted above.
    pub records: usize,
}

impl Plan {
    /// Whether applying the plan would change something.
    #[must_use]
    pub fn has_changes(&self) -> bool {
        !self.jobs.is_empty() || !self.records.is_empty()
    }

    /// How many blocked steps there are that can be carried out once somebody or something lets them.
    #[must_use]
    pub fn waiting(&self) -> usize {
        let waits = |blocked: &&Blocked| !blocked.code.is_lasting();
        self.blocked.iter().filter(waits).count()
    }

    /// The numbers of the summary. What jobs make or change is counted once, however many jobs
    /// it has; a resource that is made is not also counted as updated.
    #[must_use]
    pub fn counts(&self) -> Counts {
        let of = |action: Action| -> BTreeSet<&ResourceId> {
            self.jobs
                .iter()
                .filter(|job| job.action == action)
                .flat_map(PlannedJob::touched)
                .collect()
        };
        let created = of(Action::Create);
        let updated: BTreeSet<_> = &of(Action::Update) - &created;
        Counts {
            jobs: self.jobs.len(),
            create: created.len(),
            update: updated.len(),
            delete: of(Action::Delete).len(),
            blocked: self.blocked.len(),
            removed: self.removed.len(),
            records: self.records.len(),
        }
    }
}

impl PlannedJob {
    /// The resources whose record the job changes, or its own one if it changes none.
    pub fn touched(&self) -> impl Iterator<Item = &ResourceId> {
        let own = self.effects.is_empty().then_some(&self.resource);
        self.effects
            .iter()
            .map(|effect| &effect.resource)
            .chain(own)
    }

    /// The environment that the job works on; of a site its production environment.
    pub fn environment(
        &self,
        production_of: &dyn Fn(&str) -> Option<String>,
    ) -> Option<ResourceId> {
        match &self.resource {
            ResourceId::Fleet | ResourceId::Node(_) => None,
            ResourceId::Site(site) => production_of(site).map(|env| ResourceId::env(site, &env)),
            env @ ResourceId::Env { .. } => Some(env.clone()),
        }
    }
}
