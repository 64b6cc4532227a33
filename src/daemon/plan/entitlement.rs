//! Which secrets a job may have. This is asked again when it runs, whatever was queued: its payload
//! may come from a saved plan, from an earlier version, or from before a secret changed hands.

use std::collections::BTreeSet;

use super::payload::JobPayload;
use crate::core::desired::HasSpec;
use crate::core::id::ResourceId;
use crate::core::job::JobType;
use crate::core::plan::secret::{self, Need, Use};
use crate::core::secret_owner::{NotOwned, Owners, Reserved, User};
use crate::core::spec::Spec;

/// The names of the secrets of one job.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::daemon) struct Entitled {
    /// What its play is handed.
    pub(in crate::daemon) handed: BTreeSet<String>,
    /// What its play is not handed, but could come across where the documents have it applied: it
    /// must not be seen in what the play says.
    pub(in crate::daemon) hidden: BTreeSet<String>,
    /// What its node is reached with.
    pub(in crate::daemon) key: Option<String>,
}

/// That a job asks for what it may not have.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotEntitled {
    #[error(transparent)]
    NotOwned(#[from] NotOwned),
    #[error("a job of `{resource}` asks for the secret `{name}`, which none of its documents uses")]
    NotUsed { resource: ResourceId, name: String },
    #[error("a job of `{resource}` has the documents of `{other}`, whose secrets are not its own")]
    Another {
        resource: ResourceId,
        other: ResourceId,
    },
}

/// The secrets of a job of this type, which is about a resource on a node.
///
/// # Errors
/// [`NotEntitled`] when the payload asks for anything else.
pub(in crate::daemon) fn entitled(
    payload: &JobPayload,
    job_type: JobType,
    (resource, node): (&ResourceId, &str),
    reserved: &Reserved,
) -> Result<Entitled, NotEntitled> {
    let specs = specs(payload, resource, node)?;
    let owners = Owners {
        grants: &payload.fleet.secrets.grants,
        reserved,
    };
    let acts_as = job_type.acts_as(resource);
    let mut entitled = Entitled::default();
    let mut used = BTreeSet::new();
    for (id, spec) in specs {
        for Use { name, need } in secret::uses(id.kind(), &spec) {
            let is_of_job = secret::concerns(acts_as, id.kind(), need);
            if !is_of_job && need != Need::Connection {
                continue;
            }
            owners.check(&name, &User::Resource(id.clone()))?;
            used.insert(name.clone());
            if need == Need::Connection {
                entitled.key = Some(name);
            } else if secret::is_handed(acts_as, id.kind(), need) {
                entitled.handed.insert(name);
            } else {
                entitled.hidden.insert(name);
            }
        }
    }
    let unused = payload.secrets.iter().find(|name| !used.contains(*name));
    match unused {
        Some(name) => Err(NotEntitled::NotUsed {
            resource: resource.clone(),
            name: name.clone(),
        }),
        None => Ok(entitled),
    }
}

/// The specs of a payload with their ids, which are those that a job of `resource` has.
fn specs(
    payload: &JobPayload,
    resource: &ResourceId,
    node: &str,
) -> Result<Vec<(ResourceId, Spec)>, NotEntitled> {
    let mut specs = vec![(payload.node.id(), payload.node.spec())];
    let site = payload.site.as_ref();
    specs.extend(site.map(|site| (site.id(), site.spec())));
    let env = payload.env.as_ref();
    specs.extend(env.map(|env| (env.id(), env.spec())));
    let is_fitting = |id: &ResourceId| match (id, resource) {
        (ResourceId::Node(name), _) => name == node,
        (ResourceId::Env { .. }, ResourceId::Env { .. }) => id == resource,
        (id, _) => id.site().is_some() && id.site() == resource.site(),
    };
    match specs.iter().find(|(id, _)| !is_fitting(id)) {
        Some((other, _)) => Err(NotEntitled::Another {
            resource: resource.clone(),
            other: other.clone(),
        }),
        None => Ok(specs),
    }
}

#[cfg(test)]
mod tests;
