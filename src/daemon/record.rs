//! From the effects of a plan to what is written into the record.

use crate::core::id::ResourceId;
use crate::core::plan::Effect;
use crate::core::recorded::ResourceStatus;
use crate::store::{Job, RecordPatch, StateChange};

/// What is recorded when `job`, which had these effects, has succeeded.
#[must_use]
pub fn after_success(job: &Job, effects: Vec<Effect>) -> Vec<StateChange> {
    let mut changes = self::effects(effects, Some(job), &job.revision);
    // A job that ran again for what is recorded already leaves it active, too.
    changes.push(StateChange::Status {
        id: job.resource.clone(),
        status: ResourceStatus::Active,
    });
    changes
}

/// What recording `effects` as of `revision` changes. The job that had them says where sites and
/// environments are, and makes them active; without one both stay as they are.
pub(super) fn effects(effects: Vec<Effect>, job: Option<&Job>, revision: &str) -> Vec<StateChange> {
    let patch = |effect: Effect| {
        let node = match &effect.resource {
            ResourceId::Fleet | ResourceId::Node(_) => None,
            ResourceId::Site(_) | ResourceId::Env { .. } => job.map(|job| job.node_id.clone()),
        };
        StateChange::Patch(Box::new(RecordPatch {
            id: effect.resource,
            patch: effect.patch,
            fingerprints: effect.fingerprints,
            status: job.map(|_| ResourceStatus::Active),
            node,
            revision: revision.to_owned(),
            source: effect.source,
        }))
    };
    effects.into_iter().map(patch).collect()
}
