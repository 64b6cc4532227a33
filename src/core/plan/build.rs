//! From differences to drafts of jobs, blocked steps, removals and record-only changes.

mod create;
mod update;

use std::collections::BTreeSet;

use super::order::{self, Draft};
use super::rails;
use super::sight::Sight;
use super::{Action, BlockCode, Blocked, Effect, Plan, PlanInput, Removed, Wanted};
use crate::core::carrier::{Carrier, asks_for_something, carrier_of};
use crate::core::change::{Change, SpecPatch};
use crate::core::fast_map::HashMap;
use crate::core::fingerprint;
use crate::core::id::{ResourceId, ResourceKind};
use crate::core::job::JobType;
use crate::core::job_kind::{changers_of, maker_of};
use crate::core::leaf::Pool;
use crate::core::spec::Spec;

/// The plan for `input`.
#[must_use]
pub fn build(input: &PlanInput<'_>) -> Plan {
    let mut drafting = Drafting {
        input,
        sight: Sight::new(input),
        drafts: Vec::new(),
        index: HashMap::default(),
        plan: Plan::default(),
        pool: Pool::default(),
    };
    let ids: BTreeSet<&ResourceId> = input.wanted.iter().chain(input.recorded.keys()).collect();
    // Each site with its environments, which have a look at it.
    let mut ids: Vec<&ResourceId> = ids.into_iter().collect();
    ids.sort_by_key(|id| id.site());
    for id in ids {
        let is_recorded = input.recorded.contains_key(id);
        if !is_recorded && drafting.comes_with_its_site(id) {
            continue;
        }
        match (input.wanted(id), input.recorded.get(id)) {
            (Some(wanted), Some(recorded)) => drafting.existing(id, &wanted, recorded),
            (Some(wanted), None) => drafting.new_resource(id, &wanted),
            (None, Some(_)) if (input.lookup)(id).is_none() => drafting.removed(id),
            (None, _) => {}
        }
    }
    for (id, followed) in &input.followers {
        drafting.follow(id, &followed.why);
    }
    for id in &input.choice.rerun {
        drafting.rerun(id, "asked for again");
    }
    for (id, found) in &input.choice.heal {
        // Whatever else is planned for it puts it back as well.
        if input.wanted.contains(id) && input.recorded.contains_key(id) && !drafting.has_any(id) {
            drafting.rerun(id, &format!("drift: {found}"));
        }
    }
    for (id, recorded) in &input.recorded {
        if !recorded.settled && input.wanted.contains(id) && !drafting.has_any(id) {
            drafting.rerun(id, "the last job did not succeed");
        }
    }
    let Drafting {
        sight,
        mut drafts,
        mut plan,
        ..
    } = drafting;
    if order::is_excluded(&ResourceId::Fleet, &input.choice)
        && !input.recorded.contains_key(&ResourceId::Fleet)
    {
        // Every job takes something from the fleet's document.
        drafts.clear();
    }
    plan.blocked.extend(rails::hold_back(&sight, &mut drafts));
    let is_recorded =
        |id: &ResourceId| input.recorded.contains_key(id) || !input.wanted.contains(id);
    let ordered = order::order(drafts, &input.choice, is_recorded, &mut plan.blocked);
    plan.partial = ordered.partial;
    plan.records.sort_by(|a, b| a.resource.cmp(&b.resource));
    plan.removed.sort();
    plan.jobs = ordered.jobs;
    plan.blocked
        .retain(|blocked| order::is_chosen(&blocked.resource, &input.choice));
    order::keep_records(&mut plan, input);
    plan.blocked.sort();
    plan.blocked.dedup();
    plan.generations = plan
        .jobs
        .iter()
        .flat_map(|job| job.touched().chain([&job.resource]))
        .chain(plan.records.iter().map(|record| &record.resource))
        .map(|id| {
            (
                id.clone(),
                input
                    .recorded
                    .get(id)
                    .map_or(0, |recorded| recorded.generation),
            )
        })
        .collect();
    plan
}

struct Drafting<'a> {
    input: &'a PlanInput<'a>,
    sight: Sight<'a>,
    drafts: Vec<Draft>,
    /// Where each draft stands in `drafts`.
    index: HashMap<(ResourceId, JobType), usize>,
    plan: Plan,
    /// What the patches of all drafts are made of.
    pool: Pool,
}

/// The differences of one resource, by what they ask for.
struct Delta {
    patch: SpecPatch,
    changes: Vec<Change>,
}

impl Drafting<'_> {
    fn block(&mut self, resource: &ResourceId, code: BlockCode, message: String) {
        self.plan.blocked.push(Blocked {
            resource: resource.clone(),
            code,
            message,
        });
    }

    fn removed(&mut self, id: &ResourceId) {
        self.plan.removed.push(Removed {
            resource: id.clone(),
            message: "no document asks for it any more; it is kept, because this version \
                      destroys nothing"
                .to_owned(),
        });
    }

    fn not_supported(&mut self, id: &ResourceId, job_type: JobType, fields: &BTreeSet<String>) {
        let verb = if fields.len() == 1 { "needs" } else { "need" };
        let fields = in_backticks(fields);
        let message = format!("{fields} {verb} `{job_type}`, which this version cannot run");
        self.block(id, BlockCode::NotSupported, message);
    }

    fn missing(&mut self, id: &ResourceId, what: &str, fields: &BTreeSet<String>) {
        let fields = in_backticks(fields);
        self.block(
            id,
            BlockCode::NotSupported,
            format!("{fields}: {what} by this version"),
        );
    }

    fn effect(
        &self,
        id: &ResourceId,
        wanted: &Wanted,
        patch: SpecPatch,
        carries: impl Fn(&[&str]) -> bool,
    ) -> Effect {
        let mut fingerprints = self.input.fingerprints(id, &wanted.spec);
        let gone = self.input.templates_gone(id);
        fingerprints.extend(gone.map(|name| (name.to_owned(), String::new())));
        fingerprints.retain(|name, _| carries(&fingerprint::path(name)));
        Effect {
            resource: id.clone(),
            patch,
            source: wanted.source.clone(),
            fingerprints,
        }
    }

    fn push(&mut self, draft: Draft) {
        self.index
            .insert((draft.resource.clone(), draft.job_type), self.drafts.len());
        self.drafts.push(draft);
    }

    fn has(&self, resource: &ResourceId, job_type: JobType) -> bool {
        self.index.contains_key(&(resource.clone(), job_type))
    }

    fn has_any(&self, resource: &ResourceId) -> bool {
        self.drafts.iter().any(|draft| {
            draft.resource == *resource
                || draft
                    .effects
                    .iter()
                    .any(|effect| effect.resource == *resource)
        })
    }

    fn rerun(&mut self, id: &ResourceId, reason: &str) {
        if !self.sight.is_recorded(id) && !self.has_any(id) {
            // Why it is not made is said already.
            return;
        }
        let about = self.sight.of(id);
        let Some(node) = self.sight.node_of(id).filter(|_| about.exists) else {
            return;
        };
        // A production environment is made with its site.
        let is_production = about.is_production;
        let maker = maker_of(id.kind()).filter(|_| !is_production);
        for job_type in maker.into_iter().chain(changers_of(id.kind())) {
            self.again(job_type, id, &node, reason);
        }
    }

    /// The job of an environment that has not changed itself.
    fn follow(&mut self, id: &ResourceId, reason: &str) {
        let Some(node) = self.sight.node_of(id) else {
            return;
        };
        for job_type in changers_of(id.kind()) {
            self.again(job_type, id, &node, reason);
        }
    }

    /// A job of a resource that does not differ.
    fn again(&mut self, job_type: JobType, id: &ResourceId, node: &str, reason: &str) {
        if !self.has(id, job_type) {
            self.draft(job_type, id, node, Action::Run, reason, Vec::new());
        }
        self.follow_up(job_type, id, node);
    }

    fn draft(
        &mut self,
        job_type: JobType,
        resource: &ResourceId,
        node: &str,
        action: Action,
        reason: &str,
        effects: Vec<Effect>,
    ) {
        let from = self.sight.of(resource).from.clone();
        self.push(Draft {
            job_type,
            resource: resource.clone(),
            node: node.to_owned(),
            action,
            reason: reason.to_owned(),
            // What is made is in the effects.
            changes: Vec::new(),
            effects,
            from,
        });
    }

    /// The jobs that follow one of this type, of a site on its production environment.
    fn follow_up(&mut self, job_type: JobType, id: &ResourceId, node: &str) {
        let of = match id {
            ResourceId::Site(site) => {
                let production = (self.input.production_of)(site);
                production.map(|env| ResourceId::env(site, &env))
            }
            other => Some(other.clone()),
        };
        let Some((kind, of)) = job_type.kind().zip(of) else {
            return;
        };
        for next in kind.followed_by {
            if !self.has(&of, *next) {
                let reason = "follows a change";
                self.draft(*next, &of, node, Action::Run, reason, Vec::new());
            }
        }
    }
}

/// The carrier of a leaf, given every spec that has a say. Settings that ask for nothing in any
/// of them, such as those of a cache that is off, only need to be recorded.
fn carrier_in(kind: ResourceKind, path: &[&str], specs: &[&Spec]) -> Carrier {
    match carrier_of(kind, path) {
        carrier @ (Carrier::Job(_) | Carrier::Missing(_))
            if !specs
                .iter()
                .any(|spec| asks_for_something(kind, path, carrier, spec)) =>
        {
            Carrier::Record
        }
        carrier => carrier,
    }
}

fn in_backticks(fields: &BTreeSet<String>) -> String {
    let fields: Vec<String> = fields.iter().map(|field| format!("`{field}`")).collect();
    fields.join(", ")
}

/// The fields of some changes for a sentence, at most three of them.
fn fields_of(changes: &[Change]) -> String {
    let mut fields: Vec<String> = changes
        .iter()
        .take(3)
        .map(|change| format!("`{}`", change.path))
        .collect();
    if changes.len() > 3 {
        fields.push(format!("{} more", changes.len() - 3));
    }
    fields.join(", ")
}
