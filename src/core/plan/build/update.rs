//! Resources that are recorded differently than they are wanted.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::{Delta, Drafting, carrier_in, fields_of};
use crate::core::carrier::{Carrier, carrier_of};
use crate::core::change::{Change, SpecPatch};
use crate::core::fingerprint::{self, Fingerprints};
use crate::core::id::{ResourceId, ResourceKind};
use crate::core::job::JobType;
use crate::core::plan::order::Draft;
use crate::core::plan::{Action, BlockCode, RecordOnly, Recorded, Wanted, let_go, secret};
use crate::core::spec::Spec;

/// A template of the fleet repo that is another one than before, by its digest.
fn replaced(name: &str, before: Option<&String>, after: Option<&String>) -> Change {
    let shown =
        |digest: Option<&String>| digest.map_or(Value::Null, |digest| Value::from(digest.as_str()));
    Change::new(name, shown(before), shown(after))
}

impl Drafting<'_> {
    pub(super) fn existing(&mut self, id: &ResourceId, wanted: &Wanted, recorded: &Recorded) {
        let Some(before) = self.input.recorded_spec(id) else {
            return;
        };
        let mut by_carrier = self.deltas(id, wanted, (&before, &recorded.fingerprints));
        if let Some(delta) = by_carrier.remove(&Carrier::Record) {
            self.record_only(id, wanted, delta);
        }
        for (carrier, delta) in by_carrier {
            match carrier {
                Carrier::Record => {}
                Carrier::Fixed(_) if *id == ResourceId::Fleet && !self.input.has_environments => {
                    self.record_only(id, wanted, delta);
                }
                Carrier::Fixed(why) => {
                    let message = format!("{}: {why}", fields_of(&delta.changes));
                    self.block(id, BlockCode::FixedField, message);
                }
                Carrier::Missing(what) => {
                    let paths = delta.changes.into_iter().map(|change| change.path);
                    self.missing(id, what, &paths.collect());
                }
                Carrier::Job(job_type) if job_type.kind().is_none() => {
                    let paths = delta
                        .changes
                        .into_iter()
                        .map(|change| change.path)
                        .collect();
                    self.not_supported(id, job_type, &paths);
                }
                Carrier::Job(job_type) => self.update(id, job_type, wanted, delta),
            }
        }
        if let (ResourceKind::Env, Some(held_by)) = (id.kind(), let_go(&before, &wanted.spec)) {
            // What it sees may have changed meanwhile.
            self.follow(id, &format!("`{held_by}` of `{id}` is over"));
        }
    }

    /// The differences between the two specs, rotated secrets and replaced templates, each under its carrier.
    fn deltas(
        &self,
        id: &ResourceId,
        wanted: &Wanted,
        (before, fingerprints): (&Spec, &Fingerprints),
    ) -> BTreeMap<Carrier, Delta> {
        let whole = SpecPatch::between(before, &wanted.spec, |_| true);
        let paths = whole.set.iter().map(|leaf| &leaf.0).chain(&whole.unset);
        let specs = [&wanted.spec, before];
        let carrier_of = |path: &[&str]| match carrier_in(id.kind(), path, &specs) {
            Carrier::Job(job_type) if !self.asks_for(job_type, id, &whole) => Carrier::Record,
            carrier => carrier,
        };
        let mut carriers: BTreeSet<Carrier> = paths
            .map(|path| carrier_of(&path.iter().map(String::as_str).collect::<Vec<_>>()))
            .collect();
        let mut rotated: BTreeMap<Carrier, Vec<Change>> = BTreeMap::new();
        let present = self.input.fingerprints(id, &wanted.spec);
        let gone = self.input.templates_gone(id).map(|name| (name, None));
        let present = present.iter().map(|(name, now)| (name.as_str(), Some(now)));
        for (name, now) in present.chain(gone) {
            let path = fingerprint::path(name);
            let changed_anyway = whole.set.iter().any(|leaf| leaf.0 == path);
            let recorded = fingerprints.get(name);
            if recorded != now && !changed_anyway {
                let carrier = carrier_of(&path);
                carriers.insert(carrier);
                let change = match fingerprint::is_template(name) {
                    true => replaced(name, recorded, now),
                    false => secret::rotated(name),
                };
                rotated.entry(carrier).or_default().push(change);
            }
        }
        carriers
            .into_iter()
            .map(|carrier| {
                let patch =
                    SpecPatch::between(before, &wanted.spec, |path| carrier_of(path) == carrier);
                let mut changes: Vec<Change> = patch
                    .changes(before)
                    .into_iter()
                    .map(secret::masked)
                    .collect();
                changes.extend(rotated.remove(&carrier).unwrap_or_default());
                changes.sort_by(|a, b| a.path.cmp(&b.path));
                (carrier, Delta { patch, changes })
            })
            .collect()
    }

    /// Whether the differences of `id` ask for a job of this type: for one that runs once for each
    /// token, only a token that is new does.
    fn asks_for(&self, job_type: JobType, id: &ResourceId, differences: &SpecPatch) -> bool {
        let Some(field) = job_type.token_field() else {
            return true;
        };
        let mut set = differences.set.iter();
        set.any(|leaf| leaf.0.join(".") == field)
            && !self.input.used_tokens.contains(&(id.clone(), job_type))
    }

    fn update(&mut self, id: &ResourceId, job_type: JobType, wanted: &Wanted, mut delta: Delta) {
        // A site has no host of its own: its settings live in its production environment.
        let resource = match id {
            ResourceId::Site(site) => match (self.input.production_of)(site) {
                Some(env) => ResourceId::env(site, &env),
                None => return,
            },
            other => other.clone(),
        };
        let Some(node) = self.sight.node_of(&resource) else {
            return;
        };
        let reason = format!("{} changed", fields_of(&delta.changes));
        if *id != resource {
            for change in &mut delta.changes {
                change.resource = Some(id.clone());
            }
        }
        let carries = |path: &[&str]| carrier_of(id.kind(), path) == Carrier::Job(job_type);
        let effect = self.effect(id, wanted, delta.patch, carries);
        if let Some(index) = self.index.get(&(resource.clone(), job_type)) {
            let draft = &mut self.drafts[*index];
            draft.changes.extend(delta.changes);
            // Its own come first, so that those of another resource stand below its name.
            draft
                .changes
                .sort_by_key(|change| change.resource.is_some());
            draft.effects.push(effect);
            draft.reason = format!("{}, {reason}", draft.reason.trim_end_matches(" changed"));
            return;
        }
        self.push(Draft {
            job_type,
            resource,
            node,
            action: match job_type.token_field() {
                Some(_) => Action::Run,
                None => Action::Update,
            },
            reason,
            changes: delta.changes,
            effects: vec![effect],
            from: None,
        });
    }

    pub(super) fn record_only(&mut self, id: &ResourceId, wanted: &Wanted, delta: Delta) {
        let recorded = self.input.recorded_spec(id);
        let specs: Vec<&Spec> = recorded.iter().chain([&wanted.spec]).collect();
        let carries =
            |path: &[&str]| !matches!(carrier_in(id.kind(), path, &specs), Carrier::Job(_));
        let effect = self.effect(id, wanted, delta.patch, carries);
        self.plan.records.push(RecordOnly {
            resource: id.clone(),
            changes: delta.changes,
            effect,
        });
    }
}
