//! From the effects of a plan to what is written into the record.

use crate::core::change::leaves;
use crate::core::id::ResourceId;
use crate::core::plan::Effect;
use crate::core::recorded::{ResourceStatus, Source};
use crate::core::spec::Spec;
use crate::store::{Job, NewRecord, StateChange, Store, StoreError};

/// What is recorded when `job`, which had these effects, has succeeded.
///
/// # Errors
/// When the database fails.
pub fn after_success(
    store: &Store,
    job: &Job,
    effects: &[Effect],
) -> Result<Vec<StateChange>, StoreError> {
    let mut changes = self::effects(store, effects, Some(job), &job.revision)?;
    // A job that ran again for what is recorded already leaves it active, too.
    changes.push(StateChange::Status {
        id: job.resource.clone(),
        status: ResourceStatus::Active,
    });
    Ok(changes)
}

/// What recording `effects` as of `revision` changes. The job that had them says where sites and
/// environments are, and makes them active; without one both stay as they are.
///
/// # Errors
/// When the database fails.
pub(super) fn effects(
    store: &Store,
    effects: &[Effect],
    job: Option<&Job>,
    revision: &str,
) -> Result<Vec<StateChange>, StoreError> {
    effects
        .iter()
        .map(|effect| {
            let recorded = store.recorded(&effect.resource)?;
            let before = recorded
                .as_ref()
                .map_or_else(Spec::default, |r| r.spec.clone());
            let spec = effect.patch.apply(&before);
            let mut fingerprints = recorded
                .as_ref()
                .map(|r| r.secret_fingerprints.clone())
                .unwrap_or_default();
            fingerprints.extend(effect.fingerprints.clone());
            let paths = leaves(&spec);
            fingerprints.retain(|path, _| {
                let path: Vec<String> = path.split('.').map(str::to_owned).collect();
                paths.contains_key(&path)
            });
            let own_node = match &effect.resource {
                ResourceId::Fleet | ResourceId::Node(_) => None,
                ResourceId::Site(_) | ResourceId::Env { .. } => job
                    .map(|job| job.node_id.clone())
                    .or_else(|| recorded.as_ref().and_then(|r| r.node.clone())),
            };
            let source = effect.source.clone().or_else(|| recorded.map(|r| r.source));
            Ok(StateChange::Put(Box::new(NewRecord {
                id: effect.resource.clone(),
                protect: spec.get("protect").and_then(serde_json::Value::as_bool) == Some(true),
                spec,
                status: job.map(|_| ResourceStatus::Active),
                node: own_node,
                revision: revision.to_owned(),
                source: source.unwrap_or(Source {
                    file: String::new(),
                    line: 0,
                }),
                secret_fingerprints: fingerprints,
            })))
        })
        .collect()
}
