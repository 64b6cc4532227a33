//! What a job carries with it: the wanted form of everything that it concerns, and what its
//! success leaves in the record. With this the executor has nothing to look up or to decide.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::core::id::ResourceId;
use crate::core::plan::{Effect, PlannedJob, secret};
use crate::core::spec::Spec;

/// The payload of one job. It names secrets and holds none.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct JobPayload {
    pub fleet: Spec,
    pub node: Spec,
    pub site: Option<Spec>,
    pub env: Option<Spec>,
    /// The environment that `env` is made from.
    pub source_env: Option<Spec>,
    pub effects: Vec<Effect>,
    /// Templates of the fleet repo that take the place of ours, by path.
    pub templates: BTreeMap<String, String>,
    /// Secrets that the fleet repo holds, by name: digests of recorded ciphertexts. The other
    /// names are looked up in the control plane's own store.
    pub repo_secrets: BTreeMap<String, String>,
}

impl JobPayload {
    /// The payload of `job`, or the resource that no document describes.
    ///
    /// # Errors
    /// The id of a resource that `lookup` does not know.
    pub fn new(
        job: &PlannedJob,
        lookup: &dyn Fn(&ResourceId) -> Option<Spec>,
        production_of: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Self, ResourceId> {
        let require = |id: ResourceId| lookup(&id).ok_or(id);
        let environment = match &job.resource {
            ResourceId::Fleet | ResourceId::Node(_) => None,
            ResourceId::Site(site) => production_of(site).map(|env| ResourceId::env(site, &env)),
            env @ ResourceId::Env { .. } => Some(env.clone()),
        };
        let env = environment.map(require).transpose()?;
        let source_env = match (
            job.resource.site(),
            env.as_ref().and_then(|env| env.str("from")),
        ) {
            (Some(site), Some(from)) => Some(require(ResourceId::env(site, from))?),
            _ => None,
        };
        Ok(Self {
            fleet: require(ResourceId::Fleet)?,
            node: require(ResourceId::Node(job.node.clone()))?,
            site: job
                .resource
                .site()
                .map(|site| require(ResourceId::Site(site.to_owned())))
                .transpose()?,
            env,
            source_env,
            effects: job.effects.clone(),
            templates: BTreeMap::new(),
            repo_secrets: BTreeMap::new(),
        })
    }

    /// The environment that the job works on; for a new site its production environment.
    #[must_use]
    pub fn environment_id(&self) -> Option<ResourceId> {
        let site = self.site.as_ref()?.str("name")?;
        Some(ResourceId::env(site, self.env.as_ref()?.str("name")?))
    }

    /// The names of the secrets that the job needs, without doubles.
    #[must_use]
    pub fn secret_names(&self) -> Vec<String> {
        let mut names: Vec<String> = [Some(&self.node), self.site.as_ref(), self.env.as_ref()]
            .into_iter()
            .flatten()
            .flat_map(|spec| spec.0.values().flat_map(secret::references))
            .map(str::to_owned)
            .collect();
        names.sort();
        names.dedup();
        names
    }
}
