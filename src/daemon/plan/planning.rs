//! One planning pass: what is wanted, what is recorded, and the plan between them.
//!
//! Only hashes are compared for the whole fleet. Specs are made and read for what differs.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use super::super::error::DaemonError;
use super::followers::followers;
use super::payload::{Carried, Packer};
use super::prepared::{PlannedRevision, Prepared};
use super::specs::Specs;
use crate::core::change::SpecPatch;
use crate::core::fingerprint::{self, Fingerprints, TemplateFingerprints};
use crate::core::id::ResourceId;
use crate::core::job::JobType;
use crate::core::job_kind::token_fields;
use crate::core::leaf::Pool;
use crate::core::plain_text;
use crate::core::plan::{self, Choice, Forms, Plan, PlanInput, PlannedJob, Recorded, secret};
use crate::core::recorded::{RecordedHead, ResourceStatus};
use crate::core::spec::{Spec, SpecHash};
use crate::core::tree::Templates;
use crate::git::{DesiredState, Snapshot, SourceFile};
use crate::secrets::FingerprintKey;
use crate::store::Store;

/// What a plan is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// To be looked at. It has nothing but the plan.
    Show,
    /// To be applied, kept, or rendered.
    Apply,
}

/// The plan that leads from the record to `desired`.
///
/// Without a `store` nothing is recorded yet.
///
/// # Errors
/// When the database, a secret's file or the fleet repo cannot be read.
pub fn plan(
    desired: &DesiredState,
    store: Option<&Store>,
    key: Option<&FingerprintKey>,
    choice: &Choice,
    purpose: Purpose,
) -> Result<Prepared, DaemonError> {
    let snapshot = &desired.snapshot;
    let heads = match store {
        Some(store) => store.recorded_heads()?,
        None => Vec::new(),
    };
    let known = fingerprints(snapshot, store, key)?;
    let own = templates(snapshot)?;
    let templates = Templates::fingerprints(&own);
    let unsettled = unsettled(&heads, store)?;
    let specs = Specs::new(desired, store);
    let form = |id: &ResourceId, spec: &Spec| {
        let hash = desired.made_hash(id).unwrap_or_else(|| spec.hash());
        wish(id, hash, spec, (&known, &templates))
    };
    let specs = match purpose {
        Purpose::Show => specs,
        Purpose::Apply => specs.that_note(&form),
    };
    let mut differing = differing(&specs, &heads, (&known, &templates), choice)?;
    differing.extend(unsettled.iter().cloned());
    // The settings of a site are carried out in its production environment, whose generation the
    // plan has to know.
    let known_productions = desired.productions();
    let productions: Vec<ResourceId> = differing
        .iter()
        .filter_map(|id| match id {
            ResourceId::Site(name) => {
                let production = known_productions.get(name.as_str())?;
                Some(ResourceId::env(name, production))
            }
            ResourceId::Fleet | ResourceId::Node(_) | ResourceId::Env { .. } => None,
        })
        .collect();
    differing.extend(productions);
    let followers = followers(&differing, &specs, &heads, store)?;
    // As they are recorded, or they would differ.
    differing.extend(followers.keys().cloned());
    let recorded: BTreeMap<ResourceId, Recorded> = differing
        .iter()
        .filter_map(|id| {
            // They are sorted by id.
            let at = heads.binary_search_by(|(known, _)| known.cmp(id)).ok()?;
            let (_, head) = heads.get(at)?;
            let recorded = Recorded {
                settled: !unsettled.contains(id),
                generation: head.generation,
                fingerprints: head.fingerprints.clone(),
            };
            Some((id.clone(), recorded))
        })
        .collect();
    differing.retain(|id| desired.contains(id));
    let used_tokens = used_tokens(recorded.keys(), &specs, store)?;
    let lookup = |id: &ResourceId| specs.wanted(id);
    let recorded_spec = |id: &ResourceId| specs.recorded(id);
    let source = |id: &ResourceId| desired.source(id);
    let production_of = |site: &str| known_productions.get(site).map(|&env| env.to_owned());
    let input = PlanInput {
        wanted: differing,
        recorded,
        lookup: &lookup,
        recorded_spec: &recorded_spec,
        source: &source,
        production_of: &production_of,
        has_environments: heads
            .iter()
            .any(|(id, _)| matches!(id, ResourceId::Env { .. })),
        fingerprints: known.clone(),
        templates: templates.clone(),
        used_tokens,
        followers,
        choice: choice.clone(),
    };
    let plan = plan::build(&input);
    if let Some((env, followed)) = plan::left_behind(&plan, &input) {
        return Err(DaemonError::LeftBehind {
            env: env.clone(),
            why: followed.why.clone(),
        });
    }
    let prepared = match purpose {
        Purpose::Show => Prepared {
            revision: PlannedRevision::of(snapshot),
            plan,
            ..Prepared::default()
        },
        Purpose::Apply => {
            let differs =
                |id: &ResourceId| input.recorded.contains_key(id) || input.wanted.contains(id);
            let before = |id: &ResourceId| match differs(id) {
                true => specs.recorded(id),
                // What does not differ is recorded as it is wanted.
                false => specs.wanted(id),
            };
            let wish = |id: &ResourceId| specs.form(id);
            let prepared = prepared((plan, own), desired, &before, &production_of, &wish)?;
            // The plan says all of it; what queues it needs the memory.
            desired.release();
            prepared
        }
    };
    let fleet = specs.wanted(&ResourceId::Fleet);
    specs.finish()?;
    Ok(Prepared {
        max_parallel_nodes: fleet
            .and_then(|fleet| fleet.get("reconcile.max_parallel_nodes")?.as_u64())
            .and_then(|count| usize::try_from(count).ok()),
        ..prepared
    })
}

/// What is wanted of single resources, as a digest.
pub(in crate::daemon) struct Wishes<'a> {
    desired: &'a DesiredState,
    known: BTreeMap<String, String>,
    templates: TemplateFingerprints,
}

impl<'a> Wishes<'a> {
    /// # Errors
    /// When the database, a secret's file or the fleet repo cannot be read.
    pub(in crate::daemon) fn new(
        desired: &'a DesiredState,
        store: &Store,
        key: &FingerprintKey,
    ) -> Result<Self, DaemonError> {
        let snapshot = &desired.snapshot;
        Ok(Self {
            desired,
            known: fingerprints(snapshot, Some(store), Some(key))?,
            templates: Templates::fingerprints(&templates(snapshot)?),
        })
    }

    /// The form that is asked for, if a document describes the resource.
    ///
    /// # Errors
    /// When the fleet repo cannot be read.
    pub(in crate::daemon) fn of(&self, id: &ResourceId) -> Result<Option<SpecHash>, DaemonError> {
        let Some((hash, spec)) = self.desired.hash(id)?.zip(self.desired.spec(id)?) else {
            return Ok(None);
        };
        let besides = (&self.known, &self.templates);
        Ok(Some(wish(id, hash, &spec, besides)))
    }
}

/// The form of a resource with this spec.
fn wish(
    id: &ResourceId,
    hash: SpecHash,
    spec: &Spec,
    (known, templates): (&BTreeMap<String, String>, &TemplateFingerprints),
) -> SpecHash {
    let mut besides = secret::fingerprints(spec, known);
    besides.extend(templates.of(id.kind()).clone());
    fingerprint::form(hash, &besides)
}

/// What is done once for each token, where the token that is wanted now was used before.
fn used_tokens<'a>(
    recorded: impl Iterator<Item = &'a ResourceId>,
    specs: &Specs<'_>,
    store: Option<&Store>,
) -> Result<BTreeSet<(ResourceId, JobType)>, DaemonError> {
    let mut used = BTreeSet::new();
    let Some(store) = store else {
        return Ok(used);
    };
    for id in recorded {
        for (job_type, field) in token_fields(id.kind()) {
            let (Some(wanted), Some(recorded)) = (specs.wanted(id), specs.recorded(id)) else {
                continue;
            };
            if let Some(token) = wanted.str(field)
                && recorded.str(field) != Some(token)
                && store.token_is_used(id, field, token)?
            {
                used.insert((id.clone(), job_type));
            }
        }
    }
    Ok(used)
}

/// The forms that the jobs of a plan bring about, with what there was before of all that was asked for.
struct Brought<'a> {
    forms: Forms<'a>,
    before: &'a dyn Fn(&ResourceId) -> Option<Spec>,
    asked: RefCell<(BTreeMap<ResourceId, SpecPatch>, Pool)>,
}

impl Brought<'_> {
    fn ask(&self, id: &ResourceId) -> Option<Spec> {
        let before = (self.before)(id)?;
        let (asked, pool) = &mut *self.asked.borrow_mut();
        let patch = asked.entry(id.clone());
        patch.or_insert_with(|| SpecPatch::of_shared(&before, pool));
        Some(before)
    }
}

impl Carried for Brought<'_> {
    fn version(&self, job: &PlannedJob, id: &ResourceId) -> Vec<usize> {
        self.forms.rests_on(job, id)
    }

    fn spec(&self, id: &ResourceId, version: &[usize]) -> Option<Spec> {
        self.forms.form(id, version, self.ask(id))
    }

    fn made(&self, id: &ResourceId, version: &[usize]) -> Option<&SpecPatch> {
        let is_new = self.ask(id).is_none();
        is_new.then(|| self.forms.made_by(id, version)).flatten()
    }
}

/// The plan with all that applying it needs.
fn prepared(
    (plan, templates): (Plan, BTreeMap<String, String>),
    desired: &DesiredState,
    before: &dyn Fn(&ResourceId) -> Option<Spec>,
    production_of: &dyn Fn(&str) -> Option<String>,
    wish: &dyn Fn(&ResourceId) -> Option<SpecHash>,
) -> Result<Prepared, DaemonError> {
    let snapshot = &desired.snapshot;
    let brought = Brought {
        forms: Forms::new(&plan),
        before,
        asked: RefCell::default(),
    };
    let mut packer = Packer::that_looks(&brought, production_of, &desired.reserved);
    let mut names = BTreeSet::new();
    let mut productions = BTreeMap::new();
    for job in &plan.jobs {
        names.extend(packer.opened(job)?);
        if let ResourceId::Site(site) = &job.resource {
            productions.extend(production_of(site).map(|env| (site.clone(), env)));
        }
    }
    let mut repo_secrets = BTreeMap::new();
    for name in names {
        if let Some(ciphertext) = snapshot.secret(&name)? {
            repo_secrets.insert(name, data_encoding::BASE64.encode(&ciphertext));
        }
    }
    let (before, _) = brought.asked.into_inner();
    let concerned = plan.jobs.iter().flat_map(PlannedJob::touched);
    let concerned = concerned.chain(plan.blocked.iter().map(|blocked| &blocked.resource));
    let wanted = concerned.filter_map(|id| Some((id.clone(), wish(id)?)));
    Ok(Prepared {
        revision: PlannedRevision::of(snapshot),
        wanted: wanted.collect(),
        before,
        productions,
        templates,
        repo_secrets,
        max_parallel_nodes: None,
        plan,
    })
}

/// The resources whose last job did not succeed: the node may be in another state than the
/// record. Those that a job works on at this moment are not among them.
fn unsettled(
    heads: &[(ResourceId, RecordedHead)],
    store: Option<&Store>,
) -> Result<BTreeSet<ResourceId>, DaemonError> {
    let mut unsettled: BTreeSet<ResourceId> = heads
        .iter()
        // One that does not answer is as it was left.
        .filter(|(_, head)| {
            !matches!(
                head.status,
                ResourceStatus::Active | ResourceStatus::Unreachable
            )
        })
        .map(|(id, _)| id.clone())
        .collect();
    if let Some(store) = store.filter(|_| !unsettled.is_empty()) {
        for held in store.leased_jobs()? {
            unsettled.remove(&held.job.resource);
        }
    }
    Ok(unsettled)
}

/// The resources that the planner has to look at: those whose spec, secrets or templates differ, those
/// that one side lacks, those that are asked for, and the fleet.
fn differing(
    specs: &Specs<'_>,
    heads: &[(ResourceId, RecordedHead)],
    (known, templates): (&BTreeMap<String, String>, &TemplateFingerprints),
    choice: &Choice,
) -> Result<BTreeSet<ResourceId>, DaemonError> {
    let asked = choice.rerun.iter().chain(choice.heal.keys());
    let mut differing: BTreeSet<ResourceId> = asked.cloned().collect();
    differing.insert(ResourceId::Fleet);
    // Both are sorted by id.
    let mut recorded = heads.iter().peekable();
    let desired = specs.desired;
    for (id, made) in desired.listed() {
        while recorded.next_if(|(known, _)| known < id).is_some() {}
        let head = recorded.next_if(|(known, _)| known == id);
        let hash = match (head, made) {
            (Some(_), None) => desired.hash(id)?,
            (_, made) => made,
        };
        match head.map(|(_, head)| head) {
            Some(head) if hash == Some(head.spec_hash) => {
                let is_replaced = !templates.are_recorded(id.kind(), &head.fingerprints);
                if is_replaced || is_rotated(specs, id, (known, &head.fingerprints)) {
                    differing.insert(id.clone());
                }
            }
            Some(_) | None => {
                differing.insert(id.clone());
            }
        }
    }
    differing.extend(
        heads
            .iter()
            .filter(|(id, _)| !desired.contains(id))
            .map(|(id, _)| id.clone()),
    );
    Ok(differing)
}

/// Whether a secret that the resource refers to is another one than what is recorded.
fn is_rotated(
    specs: &Specs<'_>,
    id: &ResourceId,
    (known, recorded): (&BTreeMap<String, String>, &Fingerprints),
) -> bool {
    let mut recorded = recorded.clone();
    recorded.retain(|name, _| !fingerprint::is_template(name));
    let differs = |spec: Spec| recorded != secret::fingerprints(&spec, known);
    !recorded.is_empty() && specs.wanted(id).is_some_and(differs)
}

/// The keyed hash of every secret that is stored, by name. The fleet repo comes first.
fn fingerprints(
    snapshot: &Snapshot,
    store: Option<&Store>,
    key: Option<&FingerprintKey>,
) -> Result<BTreeMap<String, String>, DaemonError> {
    let mut known = BTreeMap::new();
    if let Some(store) = store {
        known.extend(
            store
                .secrets()?
                .into_iter()
                .map(|secret| (secret.name, secret.fingerprint)),
        );
    }
    if let Some(key) = key {
        for file in &snapshot.secrets {
            let name = Snapshot::secret_name(file).to_owned();
            let ciphertext = snapshot.read(file)?;
            let fingerprint = key.of_file(&name, &ciphertext);
            known.insert(name, fingerprint);
        }
    }
    Ok(known)
}

/// The fleet repo's own templates, by their path below `templates/`.
fn templates(snapshot: &Snapshot) -> Result<BTreeMap<String, String>, DaemonError> {
    snapshot
        .templates
        .iter()
        .map(|file| template(snapshot, file))
        .collect()
}

/// One of them, with its path.
pub(in crate::daemon) fn template(
    snapshot: &Snapshot,
    file: &SourceFile,
) -> Result<(String, String), DaemonError> {
    let text = String::from_utf8(snapshot.read(file)?)
        .map_err(|_| DaemonError::NotText(file.path.clone()))?;
    let path = file.path.strip_prefix("templates/").unwrap_or(&file.path);
    // What is rendered stands on a node, whose programs take neither a mark nor other line ends.
    Ok((
        path.to_owned(),
        plain_text::with_line_feeds(&text).into_owned(),
    ))
}
