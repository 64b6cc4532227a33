//! From differences to drafts of jobs, blocked steps, removals and record-only changes.

use std::collections::{BTreeMap, BTreeSet};

use super::order::{self, Draft};
use super::{
    Action, Blocked, Effect, Plan, PlanInput, RecordOnly, Recorded, Removed, Wanted, secret,
};
use crate::core::aspect::{Aspect, aspect_of, comes_with_creation};
use crate::core::change::{Change, SpecPatch, leaves};
use crate::core::id::{ResourceId, ResourceKind};
use crate::core::job::JobType;
use crate::core::spec::Spec;

/// The plan for `input`.
#[must_use]
pub fn build(input: &PlanInput<'_>) -> Plan {
    let mut work = Work {
        input,
        drafts: Vec::new(),
        index: BTreeMap::new(),
        plan: Plan::default(),
    };
    let ids: BTreeSet<&ResourceId> = input.wanted.keys().chain(input.recorded.keys()).collect();
    for id in ids {
        match (input.wanted.get(id), input.recorded.get(id)) {
            (Some(wanted), Some(recorded)) => work.existing(id, wanted, recorded),
            (Some(wanted), None) => work.new_resource(id, wanted),
            (None, Some(_)) if (input.lookup)(id).is_none() => work.removed(id),
            (None, _) => {}
        }
    }
    for id in &input.choice.rerun {
        work.rerun(id, "asked for again");
    }
    for (id, recorded) in &input.recorded {
        if !recorded.settled && input.wanted.contains_key(id) && !work.has_any(id) {
            work.rerun(id, "the last job did not succeed");
        }
    }
    let Work {
        drafts, mut plan, ..
    } = work;
    let ordered = order::order(drafts, &input.choice, &mut plan.blocked);
    plan.partial = ordered.partial;
    plan.jobs = ordered.jobs;
    plan.blocked
        .retain(|blocked| order::is_chosen(&blocked.resource, &input.choice));
    plan.records
        .retain(|record| order::is_chosen(&record.resource, &input.choice));
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

struct Work<'a> {
    input: &'a PlanInput<'a>,
    drafts: Vec<Draft>,
    /// Where each draft stands in `drafts`.
    index: BTreeMap<(ResourceId, JobType), usize>,
    plan: Plan,
}

/// The differences of one resource, by what they ask for.
struct Delta {
    patch: SpecPatch,
    changes: Vec<Change>,
}

impl Work<'_> {
    fn spec(&self, id: &ResourceId) -> Option<Spec> {
        let wanted = self.input.wanted.get(id).map(|wanted| wanted.spec.clone());
        wanted.or_else(|| (self.input.lookup)(id))
    }

    fn block(&mut self, resource: &ResourceId, code: &str, message: String) {
        self.plan.blocked.push(Blocked {
            resource: resource.clone(),
            code: code.to_owned(),
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

    fn new_resource(&mut self, id: &ResourceId, wanted: &Wanted) {
        match id {
            ResourceId::Fleet => {
                let patch = SpecPatch::between(&Spec::default(), &wanted.spec, |_| true);
                let changes = patch.changes(&Spec::default());
                let changes = changes.into_iter().map(secret::masked).collect();
                self.record_only(id, wanted, Delta { patch, changes });
            }
            ResourceId::Node(name) => self.new_node(id, name, wanted),
            ResourceId::Site(name) => self.new_site(id, name, wanted),
            ResourceId::Env { site, .. } => self.new_environment(id, site, wanted),
        }
    }

    fn new_node(&mut self, id: &ResourceId, name: &str, wanted: &Wanted) {
        if wanted.spec.str("state") == Some("absent") || self.is_suspended(id) {
            return;
        }
        let effect = self.creation(id, wanted);
        self.draft(
            JobType::NodeProvision,
            id,
            name,
            Action::Create,
            "node is new",
            vec![effect],
        );
    }

    fn new_site(&mut self, id: &ResourceId, name: &str, wanted: &Wanted) {
        let Some(node) = wanted.spec.str("node").map(str::to_owned) else {
            return;
        };
        if self.is_suspended(id) || self.is_held_by_node(id, &node) {
            return;
        }
        let mut effects = vec![self.creation(id, wanted)];
        let production = (self.input.production_of)(name).map(|env| ResourceId::env(name, &env));
        if let Some(env) = production.filter(|env| !self.input.recorded.contains_key(env))
            && let Some(wanted) = self.input.wanted.get(&env)
        {
            if self.is_suspended(&env) {
                return;
            }
            effects.push(self.creation(&env, wanted));
        }
        self.draft(
            JobType::SiteCreate,
            id,
            &node,
            Action::Create,
            "site is new",
            effects,
        );
        self.health(name, &node);
    }

    fn new_environment(&mut self, id: &ResourceId, site: &str, wanted: &Wanted) {
        let site_id = ResourceId::Site(site.to_owned());
        if wanted.spec.str("type") == Some("production") {
            // It comes with its site; where the site is recorded already there is no such job.
            if self.input.recorded.contains_key(&site_id)
                || !self.input.wanted.contains_key(&site_id)
            {
                let message = "the site exists, and its production environment came with it; \
                               use `moved` to rename an environment"
                    .to_owned();
                self.block(id, "not-supported", message);
            }
            return;
        }
        let Some(node) = self.node_of(id) else { return };
        if self.is_suspended(id) || self.is_held_by_node(id, &node) {
            return;
        }
        let effect = self.creation(id, wanted);
        self.draft(
            JobType::EnvCreate,
            id,
            &node,
            Action::Create,
            "environment is new",
            vec![effect],
        );
        self.health_of(id, &node);
    }

    /// What creating `id` records; fields that need a job type of their own are blocked.
    fn creation(&mut self, id: &ResourceId, wanted: &Wanted) -> Effect {
        let aspect = |path: &[String]| aspect_in(id.kind(), path, &[&wanted.spec]);
        let carries = |path: &[String]| comes_with_creation(id.kind(), aspect(path), path);
        let mut later: BTreeMap<JobType, BTreeSet<String>> = BTreeMap::new();
        let mut missing: BTreeMap<&'static str, BTreeSet<String>> = BTreeMap::new();
        for (path, value) in leaves(&wanted.spec) {
            if carries(&path) || is_nothing(&value) {
                continue;
            }
            match aspect(&path) {
                Aspect::Job(job_type) => {
                    later.entry(job_type).or_default().insert(path.join("."));
                }
                Aspect::Missing(what) => {
                    missing.entry(what).or_default().insert(path.join("."));
                }
                Aspect::Record | Aspect::Fixed(_) => {}
            }
        }
        for (job_type, fields) in later {
            self.not_supported(id, job_type, &fields);
        }
        for (what, fields) in missing {
            self.missing(id, what, &fields);
        }
        let patch = SpecPatch::between(&Spec::default(), &wanted.spec, carries);
        self.effect(id, wanted, patch, carries)
    }

    fn not_supported(&mut self, id: &ResourceId, job_type: JobType, fields: &BTreeSet<String>) {
        let verb = if fields.len() == 1 { "needs" } else { "need" };
        let fields = in_backticks(fields);
        let message = format!("{fields} {verb} `{job_type}`, which this version cannot run");
        self.block(id, "not-supported", message);
    }

    fn missing(&mut self, id: &ResourceId, what: &str, fields: &BTreeSet<String>) {
        let fields = in_backticks(fields);
        self.block(
            id,
            "not-supported",
            format!("{fields}: {what} by this version"),
        );
    }

    fn effect(
        &self,
        id: &ResourceId,
        wanted: &Wanted,
        patch: SpecPatch,
        carries: impl Fn(&[String]) -> bool,
    ) -> Effect {
        let mut fingerprints = secret::fingerprints(&wanted.spec, &self.input.fingerprints);
        fingerprints.retain(|path, _| {
            let path: Vec<String> = path.split('.').map(str::to_owned).collect();
            carries(&path)
        });
        Effect {
            resource: id.clone(),
            patch,
            source: wanted.source.clone(),
            fingerprints,
        }
    }

    fn existing(&mut self, id: &ResourceId, wanted: &Wanted, recorded: &Recorded) {
        let mut by_aspect = self.deltas(id, wanted, recorded);
        if let Some(delta) = by_aspect.remove(&Aspect::Record) {
            self.record_only(id, wanted, delta);
        }
        for (aspect, delta) in by_aspect {
            match aspect {
                Aspect::Record => {}
                Aspect::Fixed(_) if *id == ResourceId::Fleet && !self.input.has_environments => {
                    self.record_only(id, wanted, delta);
                }
                Aspect::Fixed(why) => {
                    let message = format!("{}: {why}", fields_of(&delta.changes));
                    self.block(id, "fixed-field", message);
                }
                Aspect::Missing(what) => {
                    let paths = delta.changes.into_iter().map(|change| change.path);
                    self.missing(id, what, &paths.collect());
                }
                Aspect::Job(job_type) if !job_type.is_available() => {
                    let paths = delta
                        .changes
                        .into_iter()
                        .map(|change| change.path)
                        .collect();
                    self.not_supported(id, job_type, &paths);
                }
                Aspect::Job(job_type) => self.update(id, job_type, wanted, delta),
            }
        }
    }

    /// The differences between the two specs, and rotated secrets, each under its aspect.
    fn deltas(
        &self,
        id: &ResourceId,
        wanted: &Wanted,
        recorded: &Recorded,
    ) -> BTreeMap<Aspect, Delta> {
        let whole = SpecPatch::between(&recorded.spec, &wanted.spec, |_| true);
        let paths = whole.set.iter().map(|(path, _)| path).chain(&whole.unset);
        let specs = [&wanted.spec, &recorded.spec];
        let aspect_of = |path: &[String]| aspect_in(id.kind(), path, &specs);
        let mut aspects: BTreeSet<Aspect> = paths.map(|path| aspect_of(path)).collect();
        let mut rotated: BTreeMap<Aspect, Vec<Change>> = BTreeMap::new();
        let present = secret::fingerprints(&wanted.spec, &self.input.fingerprints);
        for (path, fingerprint) in &present {
            let parts: Vec<String> = path.split('.').map(str::to_owned).collect();
            let changed_anyway = whole.set.iter().any(|(set, _)| *set == parts);
            if recorded.fingerprints.get(path) != Some(fingerprint) && !changed_anyway {
                let aspect = aspect_of(&parts);
                aspects.insert(aspect);
                rotated
                    .entry(aspect)
                    .or_default()
                    .push(secret::rotated(path));
            }
        }
        aspects
            .into_iter()
            .map(|aspect| {
                let patch = SpecPatch::between(&recorded.spec, &wanted.spec, |path| {
                    aspect_of(path) == aspect
                });
                let mut changes: Vec<Change> = patch
                    .changes(&recorded.spec)
                    .into_iter()
                    .map(secret::masked)
                    .collect();
                changes.extend(rotated.remove(&aspect).unwrap_or_default());
                changes.sort_by(|a, b| a.path.cmp(&b.path));
                (aspect, Delta { patch, changes })
            })
            .collect()
    }

    fn update(&mut self, id: &ResourceId, job_type: JobType, wanted: &Wanted, delta: Delta) {
        // A site has no host of its own: its settings live in its production environment.
        let resource = match id {
            ResourceId::Site(site) => match (self.input.production_of)(site) {
                Some(env) => ResourceId::env(site, &env),
                None => return,
            },
            other => other.clone(),
        };
        let Some(node) = self.node_of(&resource) else {
            return;
        };
        if self.is_suspended(&resource) {
            return;
        }
        let reason = format!("{} changed", fields_of(&delta.changes));
        let carries = |path: &[String]| aspect_of(id.kind(), path) == Aspect::Job(job_type);
        let effect = self.effect(id, wanted, delta.patch, carries);
        if let Some(index) = self.index.get(&(resource.clone(), job_type)) {
            let draft = &mut self.drafts[*index];
            draft.changes.extend(delta.changes);
            draft.effects.push(effect);
            draft.reason = format!("{}, {reason}", draft.reason.trim_end_matches(" changed"));
            return;
        }
        self.push(Draft {
            job_type,
            resource,
            node,
            action: Action::Update,
            reason,
            changes: delta.changes,
            effects: vec![effect],
            from: None,
        });
    }

    fn push(&mut self, draft: Draft) {
        self.index
            .insert((draft.resource.clone(), draft.job_type), self.drafts.len());
        self.drafts.push(draft);
    }

    fn has(&self, resource: &ResourceId, job_type: JobType) -> bool {
        self.index.contains_key(&(resource.clone(), job_type))
    }

    fn record_only(&mut self, id: &ResourceId, wanted: &Wanted, delta: Delta) {
        let recorded = self.input.recorded.get(id).map(|recorded| &recorded.spec);
        let specs: Vec<&Spec> = recorded.into_iter().chain([&wanted.spec]).collect();
        let carries =
            |path: &[String]| !matches!(aspect_in(id.kind(), path, &specs), Aspect::Job(_));
        let effect = self.effect(id, wanted, delta.patch, carries);
        self.plan.records.push(RecordOnly {
            resource: id.clone(),
            changes: delta.changes,
            effect,
        });
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
        let Some(spec) = self.spec(id) else { return };
        let Some(node) = self.node_of(id) else { return };
        if self.is_suspended(id) {
            return;
        }
        let job_types: &[JobType] = match id {
            ResourceId::Fleet => &[],
            ResourceId::Node(_) => &[JobType::NodeProvision],
            ResourceId::Site(_) => &[JobType::SiteCreate],
            ResourceId::Env { .. } if spec.str("type") == Some("production") => {
                &[JobType::EnvConfigure]
            }
            ResourceId::Env { .. } => &[JobType::EnvCreate, JobType::EnvConfigure],
        };
        for job_type in job_types {
            if !self.has(id, *job_type) {
                self.draft(*job_type, id, &node, Action::Run, reason, Vec::new());
            }
        }
        match id {
            ResourceId::Site(site) => self.health(site, &node),
            ResourceId::Env { .. } => self.health_of(id, &node),
            ResourceId::Fleet | ResourceId::Node(_) => {}
        }
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
        let changes = effects
            .iter()
            .flat_map(|effect| effect.patch.changes(&Spec::default()))
            .map(secret::masked)
            .collect();
        let from = self
            .spec(resource)
            .and_then(|spec| spec.str("from").map(str::to_owned));
        self.push(Draft {
            job_type,
            resource: resource.clone(),
            node: node.to_owned(),
            action,
            reason: reason.to_owned(),
            changes,
            effects,
            from,
        });
    }

    /// The check that follows the creation of a site, on its production environment.
    fn health(&mut self, site: &str, node: &str) {
        if let Some(env) = (self.input.production_of)(site) {
            self.health_of(&ResourceId::env(site, &env), node);
        }
    }

    fn health_of(&mut self, env: &ResourceId, node: &str) {
        let job_type = JobType::HealthCheck;
        if !self.has(env, job_type) {
            self.draft(
                job_type,
                env,
                node,
                Action::Run,
                "follows a change",
                Vec::new(),
            );
        }
    }

    fn node_of(&self, id: &ResourceId) -> Option<String> {
        match id {
            ResourceId::Fleet => None,
            ResourceId::Node(name) => Some(name.clone()),
            ResourceId::Site(_) => self.spec(id)?.str("node").map(str::to_owned),
            ResourceId::Env { site, .. } => {
                let own = self.spec(id)?.str("node").map(str::to_owned);
                own.or_else(|| self.node_of(&ResourceId::Site(site.clone())))
            }
        }
    }

    /// Whether `id` or what it belongs to is suspended; says so in the plan if it is.
    fn is_suspended(&mut self, id: &ResourceId) -> bool {
        let mut holders = vec![ResourceId::Fleet, id.clone()];
        holders.extend(id.site().map(|site| ResourceId::Site(site.to_owned())));
        holders.extend(self.node_of(id).map(ResourceId::Node));
        let suspended = holders.into_iter().find(|holder| {
            self.spec(holder)
                .and_then(|spec| spec.get("suspend").cloned())
                .is_some_and(|value| !is_nothing(&value))
        });
        if let Some(holder) = suspended {
            self.block(id, "suspended", format!("`{holder}` is suspended"));
            return true;
        }
        false
    }

    /// Whether the node takes nothing new; says so in the plan if it does not.
    fn is_held_by_node(&mut self, id: &ResourceId, node: &str) -> bool {
        let node_id = ResourceId::Node(node.to_owned());
        let state = self
            .spec(&node_id)
            .and_then(|spec| spec.str("state").map(str::to_owned));
        if let Some(state) = state.filter(|state| state != "present") {
            self.block(
                id,
                "node-not-available",
                format!("`{node_id}` is {state} and takes nothing new"),
            );
            return true;
        }
        false
    }
}

/// Values that ask for nothing: an empty list, a switch that is off.
fn is_nothing(value: &serde_json::Value) -> bool {
    use serde_json::Value;
    match value {
        Value::Null | Value::Bool(false) => true,
        Value::Array(elements) => elements.is_empty(),
        Value::Object(map) => map.is_empty(),
        Value::Bool(true) | Value::Number(_) | Value::String(_) => false,
    }
}

/// The aspect of a leaf, given every spec that has a say. Settings that ask for no work in any
/// of them, such as those of a cache that is off, only need to be recorded.
fn aspect_in(kind: ResourceKind, path: &[String], specs: &[&Spec]) -> Aspect {
    match aspect_of(kind, path) {
        Aspect::Job(job_type) if !specs.iter().any(|spec| asks_for_work(kind, job_type, spec)) => {
            Aspect::Record
        }
        Aspect::Missing(_)
            if !specs
                .iter()
                .any(|spec| asks_for_what_is_missing(path, spec)) =>
        {
            Aspect::Record
        }
        aspect => aspect,
    }
}

/// Whether a spec wants what nothing carries out: the defaults only need to be recorded.
fn asks_for_what_is_missing(path: &[String], spec: &Spec) -> bool {
    let path: Vec<&str> = path.iter().map(String::as_str).collect();
    match path.as_slice() {
        ["http", "waf", ..] => spec.str("http.waf.mode").is_some_and(|mode| mode != "off"),
        path => spec
            .get(&path.join("."))
            .is_some_and(|value| !is_nothing(value)),
    }
}

/// Whether a spec wants such a job at all.
fn asks_for_work(kind: ResourceKind, job_type: JobType, spec: &Spec) -> bool {
    match job_type {
        JobType::EnvCacheToggle => ["cache.page", "cache.object"]
            .iter()
            .any(|path| spec.get(path).is_some_and(|value| !is_nothing(value))),
        // A site without a repository runs WordPress's own release, whatever `ref` says.
        JobType::EnvDeploy if kind == ResourceKind::Site => spec.get("code.git").is_some(),
        _ => true,
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
