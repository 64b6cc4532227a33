//! A plan with everything that applying it needs, in one value: what `plan --out` keeps.
//!
//! The payloads of its jobs are not in it. They follow from the plan and from what there was before,
//! and are made when somebody asks for them, one at a time.

use std::collections::BTreeMap;
use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::super::error::DaemonError;
use super::entitlement::NotEntitled;
use super::payload::{Carried, JobPayload, Packer, QueuedEffect, QueuedPayload};
use super::saved_plan;
use crate::core::change::SpecPatch;
use crate::core::id::ResourceId;
use crate::core::plan::{Effect, Forms, Plan, PlannedJob};
use crate::core::secret_owner::Reserved;
use crate::core::spec::{Spec, SpecHash};
use crate::git::Snapshot;

/// A plan that can be applied.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Prepared {
    pub revision: PlannedRevision,
    pub plan: Plan,
    /// The hash of the spec that is asked for, of what has jobs or is blocked.
    pub wanted: BTreeMap<ResourceId, SpecHash>,
    /// What there is, before any job runs, of the resources that the jobs concern. Of the others there
    /// is nothing.
    pub before: BTreeMap<ResourceId, SpecPatch>,
    /// The names of the production environments of the sites that have jobs, by site.
    pub productions: BTreeMap<String, String>,
    /// Templates of the fleet repo that take the place of ours, by path.
    pub templates: BTreeMap<String, String>,
    /// Ciphertexts of the fleet repo's secrets that the jobs need, by name, in Base64.
    pub repo_secrets: BTreeMap<String, String>,
    /// How many nodes are worked on at once, when the fleet says so.
    pub max_parallel_nodes: Option<usize>,
}

/// The state of the fleet repo that a plan was made from.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlannedRevision {
    /// A commit, or `dirty:` and a digest of the documents.
    pub id: String,
    pub commit: Option<String>,
    pub author: Option<String>,
    pub subject: Option<String>,
    pub committed_at: Option<Timestamp>,
    pub dirty: bool,
}

impl PlannedRevision {
    /// The state of the fleet repo that a snapshot shows.
    pub(in crate::daemon) fn of(snapshot: &Snapshot) -> Self {
        let revision = &snapshot.revision;
        let id = match (&revision.commit, revision.dirty) {
            (Some(commit), false) => commit.clone(),
            _ => format!("dirty:{}", digest(snapshot)),
        };
        Self {
            id,
            commit: revision.commit.clone(),
            author: revision
                .author
                .as_ref()
                .map(|author| format!("{} <{}>", author.name, author.email)),
            subject: (!revision.subject.is_empty()).then(|| revision.subject.clone()),
            committed_at: revision.time,
            dirty: revision.dirty || revision.commit.is_none(),
        }
    }
}

/// A digest of the documents and templates, for a state of the fleet repo that no commit names.
fn digest(snapshot: &Snapshot) -> String {
    let mut hasher = blake3::Hasher::new();
    for file in snapshot.files.iter().chain(&snapshot.templates) {
        hasher.update(file.path.as_bytes());
        hasher.update(&[0]);
        hasher.update(&file.blob.0);
    }
    hasher.finalize().to_hex()[..32].to_owned()
}

/// Gives the name of a site's production environment.
type Productions<'a> = Box<dyn Fn(&str) -> Option<String> + 'a>;

/// The payloads of the jobs of a plan.
pub struct Payloads<'a> {
    prepared: &'a Prepared,
    forms: Forms<'a>,
    production_of: Productions<'a>,
}

impl Prepared {
    /// A digest of the plan: equal plans of equal commits have equal ones.
    ///
    /// # Errors
    /// When the plan cannot be written as JSON.
    pub fn digest(&self) -> Result<String, DaemonError> {
        saved_plan::digest(self)
    }

    /// The payloads of its jobs.
    #[must_use]
    pub fn payloads(&self) -> Payloads<'_> {
        Payloads {
            prepared: self,
            forms: Forms::new(&self.plan),
            production_of: Box::new(|site: &str| self.productions.get(site).cloned()),
        }
    }

    /// Refuses a plan whose jobs would use secrets that they may not have. One that was made here
    /// has none; a file may have been written by anybody who could.
    ///
    /// # Errors
    /// [`DaemonError::NotEntitled`] with the first of them.
    pub fn require_entitled(&self, reserved: &Reserved) -> Result<(), DaemonError> {
        let payloads = self.payloads();
        let mut packer = Packer::that_looks(&payloads, &payloads.production_of, reserved);
        for job in &self.plan.jobs {
            packer.opened(job).map_err(|error| match error {
                DaemonError::NotOwned(refused) => NotEntitled::from(refused).into(),
                other => other,
            })?;
        }
        Ok(())
    }
}

impl fmt::Debug for Payloads<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Payloads")
            .field("jobs", &self.prepared.plan.jobs.len())
            .finish_non_exhaustive()
    }
}

impl Payloads<'_> {
    /// A packer of them.
    ///
    /// # Errors
    /// When the templates cannot be written as JSON.
    pub(in crate::daemon) fn packer(&self) -> Result<Packer<'_>, DaemonError> {
        Packer::new(self, &self.production_of, &self.prepared.templates)
    }

    /// An effect of a job as it is queued with it.
    pub(in crate::daemon) fn effect(&self, job: &PlannedJob, effect: &Effect) -> QueuedEffect {
        QueuedEffect::new(effect, self.is_whole(job, effect))
    }

    /// Whether there is nothing of a resource but what this effect of a job sets.
    pub(in crate::daemon) fn is_whole(&self, job: &PlannedJob, effect: &Effect) -> bool {
        let is_of_job = match &effect.resource {
            ResourceId::Fleet => false,
            ResourceId::Node(node) => *node == job.node,
            ResourceId::Site(site) => job.resource.site() == Some(site),
            env @ ResourceId::Env { .. } => {
                job.environment(&self.production_of).as_ref() == Some(env)
            }
        };
        let id = &effect.resource;
        is_of_job && self.made(id, &self.version(job, id)) == Some(&effect.patch)
    }

    /// The whole payload of a job of the plan.
    ///
    /// # Errors
    /// [`DaemonError::UnknownResource`] when nothing describes what it concerns, and
    /// [`DaemonError::Spec`] when that cannot be read.
    pub fn of(&self, job: &PlannedJob) -> Result<JobPayload, DaemonError> {
        let mut packer = self.packer()?;
        let queued = QueuedPayload {
            parts: packer.pack(job)?,
            effects: job
                .effects
                .iter()
                .map(|effect| self.effect(job, effect))
                .collect(),
            repo_secrets: BTreeMap::new(),
        };
        let parts = packer.take_parts();
        JobPayload::unpack(queued, &|digest| {
            let json = parts.0.get(digest).cloned();
            json.ok_or_else(|| DaemonError::MissingPart(digest.to_owned()))
        })
    }
}

impl Carried for Payloads<'_> {
    fn version(&self, job: &PlannedJob, id: &ResourceId) -> Vec<usize> {
        self.forms.rests_on(job, id)
    }

    fn made(&self, id: &ResourceId, version: &[usize]) -> Option<&SpecPatch> {
        let is_new = !self.prepared.before.contains_key(id);
        is_new.then(|| self.forms.made_by(id, version)).flatten()
    }

    fn spec(&self, id: &ResourceId, version: &[usize]) -> Option<Spec> {
        let before = self.prepared.before.get(id);
        let before = before.map(|before| before.apply(&Spec::default()));
        self.forms.form(id, version, before)
    }
}
