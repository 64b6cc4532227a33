//! Resources that are not recorded yet.

use std::collections::{BTreeMap, BTreeSet};

use super::{Delta, Drafting, carrier_in};
use crate::core::carrier::{Carrier, comes_with_creation, is_nothing};
use crate::core::change::SpecPatch;
use crate::core::id::ResourceId;
use crate::core::job::JobType;
use crate::core::leaf::leaves;
use crate::core::plan::{Action, BlockCode, Effect, Wanted, changes_of_new};

impl Drafting<'_> {
    pub(super) fn new_resource(&mut self, id: &ResourceId, wanted: &Wanted) {
        match id {
            ResourceId::Fleet => {
                let patch = self.creation(id, wanted).patch;
                let changes = changes_of_new(&patch, None);
                self.record_only(id, wanted, Delta { patch, changes });
            }
            ResourceId::Node(name) => self.new_node(id, name, wanted),
            ResourceId::Site(name) => self.new_site(id, name, wanted),
            ResourceId::Env { site, .. } => self.new_environment(id, site, wanted),
        }
    }

    fn new_node(&mut self, id: &ResourceId, name: &str, wanted: &Wanted) {
        if wanted.spec.str("state") == Some("absent") {
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
        let mut effects = vec![self.creation(id, wanted)];
        let production = (self.input.production_of)(name).map(|env| ResourceId::env(name, &env));
        if let Some(env) = production.filter(|env| !self.input.recorded.contains_key(env))
            && let Some(wanted) = self.input.wanted(&env)
        {
            effects.push(self.creation(&env, &wanted));
        }
        self.draft(
            JobType::SiteCreate,
            id,
            &node,
            Action::Create,
            "site is new",
            effects,
        );
        self.follow_up(JobType::SiteCreate, id, &node);
    }

    fn new_environment(&mut self, id: &ResourceId, site: &str, wanted: &Wanted) {
        let site_id = ResourceId::Site(site.to_owned());
        if wanted.spec.str("type") == Some("production") {
            // It comes with its site; where the site is recorded already there is no such job.
            if self.input.recorded.contains_key(&site_id) || !self.input.wanted.contains(&site_id) {
                let message = "the site exists, and its production environment came with it; \
                               use `moved` to rename an environment"
                    .to_owned();
                self.block(id, BlockCode::NotSupported, message);
            }
            return;
        }
        let Some(node) = self.sight.node_of(id) else {
            return;
        };
        if let Some(from) = self.source_elsewhere(id, site, &node) {
            return self.block(id, BlockCode::NotSupported, from);
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
        self.follow_up(JobType::EnvCreate, id, &node);
    }

    /// Why `id` cannot be made from its source: one job is on one node.
    fn source_elsewhere(&self, id: &ResourceId, site: &str, node: &str) -> Option<String> {
        let name = self.sight.of(id).from.clone()?;
        let other = self.sight.node_of(&ResourceId::env(site, &name))?;
        (other != node).then(|| {
            format!(
                "`from`: `{name}` is on `{other}`, and this version copies an environment only on its own node"
            )
        })
    }

    /// Whether `id` is the production environment of a site that is planned: it is made with that.
    pub(super) fn comes_with_its_site(&self, id: &ResourceId) -> bool {
        let ResourceId::Env { site, name } = id else {
            return false;
        };
        self.has(&ResourceId::Site(site.clone()), JobType::SiteCreate)
            && (self.input.production_of)(site).as_ref() == Some(name)
    }

    /// What creating `id` records; fields that need a job type of their own are blocked.
    fn creation(&mut self, id: &ResourceId, wanted: &Wanted) -> Effect {
        let carrier = |path: &[&str]| carrier_in(id.kind(), path, &[&wanted.spec]);
        let carries = |path: &[&str]| comes_with_creation(id.kind(), carrier(path), path);
        let mut patch = SpecPatch::default();
        let mut later: BTreeMap<JobType, BTreeSet<String>> = BTreeMap::new();
        let mut missing: BTreeMap<&'static str, BTreeSet<String>> = BTreeMap::new();
        for (path, value) in leaves(wanted.spec.fields()) {
            let carrier = carrier(&path);
            if comes_with_creation(id.kind(), carrier, &path) {
                patch.set.push(self.pool.leaf(&path, value));
                continue;
            }
            if is_nothing(value) {
                continue;
            }
            match carrier {
                Carrier::Job(job_type) => {
                    later.entry(job_type).or_default().insert(path.join("."));
                }
                Carrier::Missing(what) => {
                    missing.entry(what).or_default().insert(path.join("."));
                }
                Carrier::Record | Carrier::Fixed(_) => {}
            }
        }
        for (job_type, fields) in later {
            self.not_supported(id, job_type, &fields);
        }
        for (what, fields) in missing {
            self.missing(id, what, &fields);
        }
        patch.set.shrink_to_fit();
        self.effect(id, wanted, patch, carries)
    }
}
