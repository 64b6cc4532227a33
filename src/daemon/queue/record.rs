//! From the effects of a plan to what is written into the record.

use crate::core::id::ResourceId;
use crate::core::job_kind::token_fields;
use crate::core::plan::Effect;
use crate::core::recorded::ResourceStatus;
use crate::store::{Job, RecordPatch, StateChange};

/// What is recorded when `job`, which had these effects, has succeeded.
#[must_use]
pub fn after_success(job: &Job, effects: Vec<Effect>) -> Vec<StateChange> {
    let tokens: Vec<StateChange> = effects.iter().flat_map(used_tokens).collect();
    let mut changes = self::effects(effects, Some(job), &job.revision);
    changes.extend(tokens);
    // A job that ran again for what is recorded already leaves it active, too.
    changes.push(StateChange::Status {
        id: job.resource.clone(),
        status: ResourceStatus::Active,
    });
    changes
}

/// The tokens that a job has carried out, or that came with what it made: none of them ever counts
/// again.
fn used_tokens(effect: &Effect) -> impl Iterator<Item = StateChange> {
    token_fields(effect.resource.kind()).filter_map(|(_, field)| {
        let mut set = effect.patch.set.iter();
        let token = &set.find(|leaf| leaf.0.join(".") == field)?.1;
        Some(StateChange::UsedToken {
            resource: effect.resource.clone(),
            token: token.as_str()?.to_owned(),
            field: field.to_owned(),
        })
    })
}

/// What recording `effects` as of `revision` changes. The job that had them says where sites and
/// environments are, and makes them active; without one both stay as they are.
pub(in crate::daemon) fn effects(
    effects: Vec<Effect>,
    job: Option<&Job>,
    revision: &str,
) -> Vec<StateChange> {
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
