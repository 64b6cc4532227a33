//! What the planner is given.

use std::collections::{BTreeMap, BTreeSet};

use super::follow::Followed;
use super::secret;
use crate::core::fingerprint::{self, Fingerprints, TemplateFingerprints};
use crate::core::id::ResourceId;
use crate::core::job::JobType;
use crate::core::recorded::Source;
use crate::core::spec::Spec;

/// A resource as a document wants it, defaults merged.
#[derive(Clone, Debug, PartialEq)]
pub struct Wanted {
    pub spec: Spec,
    pub source: Option<Source>,
}

/// A resource as the last successful jobs left it, but for its spec.
#[derive(Clone, Debug, PartialEq)]
pub struct Recorded {
    pub generation: u64,
    /// Whether its last job left it as it is recorded; if not, the node may be otherwise.
    pub settled: bool,
    pub fingerprints: Fingerprints,
}

/// Which part of a plan is asked for, and what to run although nothing changed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Choice {
    /// Only these and what they need; everything if empty.
    pub targets: Vec<ResourceId>,
    /// All but these and what needs them.
    pub excludes: Vec<ResourceId>,
    /// Resources whose jobs run again although their documents did not change.
    pub rerun: Vec<ResourceId>,
    /// Resources that are not what was applied to them any more and are put back, each with what
    /// was found.
    pub heal: BTreeMap<ResourceId, String>,
    /// Resources that get no job now, each with the reason, because they failed before. What
    /// builds on them waits.
    pub held: BTreeMap<ResourceId, String>,
}

/// Everything that the plan is a function of.
///
/// `wanted` and `recorded` name at least every resource that differs, every resource of
/// `choice.rerun` and `choice.heal`, all `followers`, and the fleet. The specs of a large fleet are more than the memory
/// that a plan is to take, so each is asked for when it is looked at.
pub struct PlanInput<'a> {
    pub wanted: BTreeSet<ResourceId>,
    pub recorded: BTreeMap<ResourceId, Recorded>,
    /// What the documents ask for, also of the resources that are not `wanted` (a site's node, a job's context).
    pub lookup: &'a dyn Fn(&ResourceId) -> Option<Spec>,
    /// The spec of a resource that is `recorded`.
    pub recorded_spec: &'a dyn Fn(&ResourceId) -> Option<Spec>,
    /// Where in the fleet repo a resource is written.
    pub source: &'a dyn Fn(&ResourceId) -> Option<Source>,
    /// The name of a site's production environment.
    pub production_of: &'a dyn Fn(&str) -> Option<String>,
    /// Whether any environment is recorded at all.
    pub has_environments: bool,
    /// The present keyed hash of each secret by name; a name that is missing is not stored.
    pub fingerprints: BTreeMap<String, String>,
    /// Those of the fleet repo's own templates.
    pub templates: TemplateFingerprints,
    /// What is done once for each token, of resources whose wanted token was used before.
    pub used_tokens: BTreeSet<(ResourceId, JobType)>,
    /// Recorded environments that are configured anew because something that they see of their node or site changes,
    /// each with what it is.
    pub followers: BTreeMap<ResourceId, Followed>,
    pub choice: Choice,
}

impl PlanInput<'_> {
    /// A resource as a document wants it, if the planner has to look at it.
    pub(super) fn wanted(&self, id: &ResourceId) -> Option<Wanted> {
        let spec = self.wanted.contains(id).then(|| (self.lookup)(id))?;
        Some(Wanted {
            spec: spec?,
            source: (self.source)(id),
        })
    }

    /// What the files of a resource are made of besides its spec.
    #[must_use]
    pub fn fingerprints(&self, id: &ResourceId, spec: &Spec) -> Fingerprints {
        let mut found = secret::fingerprints(spec, &self.fingerprints);
        found.extend(self.templates.of(id.kind()).clone());
        found
    }

    /// The recorded templates of a resource that no longer are there.
    pub(super) fn templates_gone(&self, id: &ResourceId) -> impl Iterator<Item = &str> {
        let recorded = self.recorded.get(id).into_iter();
        let names = recorded.flat_map(|recorded| recorded.fingerprints.keys());
        let present = self.templates.of(id.kind());
        names
            .filter(|name| fingerprint::is_template(name) && !present.contains_key(*name))
            .map(String::as_str)
    }

    /// The spec of a resource as it is recorded.
    pub(super) fn recorded_spec(&self, id: &ResourceId) -> Option<Spec> {
        let is_recorded = self.recorded.contains_key(id);
        is_recorded.then(|| (self.recorded_spec)(id)).flatten()
    }
}

impl std::fmt::Debug for PlanInput<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PlanInput")
            .field("wanted", &self.wanted.len())
            .field("recorded", &self.recorded.len())
            .finish_non_exhaustive()
    }
}
