//! One planning pass: what is wanted, what is recorded, and the plan between them.
//!
//! Only hashes are compared for the whole fleet. Specs are made and read for what differs.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use super::error::DaemonError;
use super::followers::followers;
use super::payload::{Carried, PackedPayload, Packer, Parts};
use super::queue::{PlannedRevision, Prepared};
use crate::core::id::ResourceId;
use crate::core::job::JobType;
use crate::core::job_kind::token_fields;
use crate::core::plain_text;
use crate::core::plan::{self, Choice, Forms, PlanInput, PlannedJob, Recorded, Wanted, secret};
use crate::core::recorded::{RecordedHead, RecordedResource, ResourceStatus};
use crate::core::spec::Spec;
use crate::git::{DesiredState, GitError, Snapshot, SourceFile};
use crate::secrets::FingerprintKey;
use crate::store::Store;

/// What a plan is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// To be looked at. It has no payloads.
    Show,
    /// To be applied, kept, or rendered.
    Apply,
}

/// What the jobs of a plan carry with them.
#[derive(Default)]
struct Cargo {
    /// By the ids of the jobs.
    payloads: BTreeMap<String, PackedPayload>,
    parts: Parts,
    /// Ciphertexts of the fleet repo by name.
    secrets: BTreeMap<String, String>,
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
    let unsettled = unsettled(&heads, store)?;
    let specs = Specs::new(desired);
    let mut differing = differing(&specs, &heads, &known, choice);
    differing.extend(unsettled.iter().cloned());
    // The settings of a site are carried out in its production environment, whose generation the
    // plan has to know.
    let productions: Vec<ResourceId> = differing
        .iter()
        .filter_map(|id| match id {
            ResourceId::Site(name) => Some(ResourceId::env(name, &desired.production_of(name)?)),
            ResourceId::Fleet | ResourceId::Node(_) | ResourceId::Env { .. } => None,
        })
        .collect();
    differing.extend(productions);
    let mut wanted = BTreeMap::new();
    let mut recorded = BTreeMap::new();
    for id in &differing {
        if let Some(spec) = specs.get(id) {
            wanted.insert(
                id.clone(),
                Wanted {
                    spec,
                    source: desired.source(id),
                },
            );
        }
    }
    if let Some(store) = store {
        for resource in store.recorded_many(&differing)? {
            let settled = !unsettled.contains(&resource.id);
            recorded.insert(resource.id.clone(), as_recorded(resource, settled));
        }
    }
    let followers = followers(&wanted, &recorded, &heads, desired, store)?;
    if let Some(store) = store {
        let more: BTreeSet<ResourceId> = followers.keys().cloned().collect();
        let more = &more - &differing;
        for resource in store.recorded_many(&more)? {
            // As it is recorded, or it would differ.
            wanted.insert(
                resource.id.clone(),
                Wanted {
                    spec: resource.spec.clone(),
                    source: desired.source(&resource.id),
                },
            );
            recorded.insert(resource.id.clone(), as_recorded(resource, true));
        }
        differing.extend(more);
    }
    let used_tokens = used_tokens(&wanted, &recorded, store)?;
    let lookup = |id: &ResourceId| specs.get(id);
    let production_of = |site: &str| desired.production_of(site);
    let input = PlanInput {
        wanted,
        recorded,
        lookup: &lookup,
        production_of: &production_of,
        has_environments: heads
            .iter()
            .any(|(id, _)| matches!(id, ResourceId::Env { .. })),
        fingerprints: known,
        used_tokens,
        followers,
        choice: choice.clone(),
    };
    let plan = plan::build(&input);
    // What does not differ is recorded as it is wanted.
    let recorded = |id: &ResourceId| match input.recorded.get(id) {
        Some(recorded) => Some(recorded.spec.clone()),
        None if differing.contains(id) => None,
        None => specs.get(id),
    };
    let brought = Brought {
        forms: Forms::new(&plan),
        recorded: &recorded,
    };
    let carried = match purpose {
        Purpose::Show => Cargo::default(),
        Purpose::Apply => carried(&plan.jobs, desired, &brought, &production_of)?,
    };
    let fleet = specs.get(&ResourceId::Fleet);
    specs.finish()?;
    let concerned = plan.jobs.iter().flat_map(PlannedJob::touched);
    let concerned = concerned.chain(plan.blocked.iter().map(|blocked| &blocked.resource));
    let wanted = concerned.filter_map(|id| Some((id.clone(), desired.hash(id)?)));
    let wanted = wanted.collect();
    Ok(Prepared {
        revision: revision(snapshot),
        plan,
        wanted,
        payloads: carried.payloads,
        parts: carried.parts,
        repo_secrets: carried.secrets,
        max_parallel_nodes: fleet
            .and_then(|fleet| fleet.get("reconcile.max_parallel_nodes")?.as_u64())
            .and_then(|count| usize::try_from(count).ok()),
    })
}

/// A resource as the planner takes it from the record.
fn as_recorded(resource: RecordedResource, settled: bool) -> Recorded {
    Recorded {
        settled,
        spec: resource.spec,
        generation: resource.generation,
        fingerprints: resource.secret_fingerprints,
    }
}

/// What is done once for each token, where the token that is wanted now was used before.
fn used_tokens(
    wanted: &BTreeMap<ResourceId, Wanted>,
    recorded: &BTreeMap<ResourceId, Recorded>,
    store: Option<&Store>,
) -> Result<BTreeSet<(ResourceId, JobType)>, DaemonError> {
    let mut used = BTreeSet::new();
    for (id, recorded) in recorded {
        let Some((wanted, store)) = wanted.get(id).zip(store) else {
            continue;
        };
        for (job_type, field) in token_fields(id.kind()) {
            if let Some(token) = wanted.spec.str(field)
                && recorded.spec.str(field) != Some(token)
                && store.token_is_used(id, field, token)?
            {
                used.insert((id.clone(), job_type));
            }
        }
    }
    Ok(used)
}

/// The specs that the documents ask for. The planner is pure and asks for them as values, so a
/// file that cannot be read any more is remembered, and is the end of the pass.
struct Specs<'a> {
    desired: &'a DesiredState,
    failure: RefCell<Option<GitError>>,
}

impl<'a> Specs<'a> {
    fn new(desired: &'a DesiredState) -> Self {
        Self {
            desired,
            failure: RefCell::new(None),
        }
    }

    /// The spec of a resource, if a document asks for it and can be read.
    fn get(&self, id: &ResourceId) -> Option<Spec> {
        self.desired.spec(id).unwrap_or_else(|error| {
            self.failure.borrow_mut().get_or_insert(error);
            None
        })
    }

    fn finish(self) -> Result<(), GitError> {
        self.failure.into_inner().map_or(Ok(()), Err)
    }
}

/// The forms that the jobs of a plan bring about.
struct Brought<'a> {
    forms: Forms<'a>,
    recorded: &'a dyn Fn(&ResourceId) -> Option<Spec>,
}

impl Carried for Brought<'_> {
    fn version(&self, job: &PlannedJob, id: &ResourceId) -> Vec<usize> {
        self.forms.rests_on(job, id)
    }

    fn spec(&self, id: &ResourceId, version: &[usize]) -> Option<Spec> {
        self.forms.form(id, version, (self.recorded)(id))
    }
}

/// What the jobs of a plan carry with them.
fn carried(
    jobs: &[PlannedJob],
    desired: &DesiredState,
    brought: &Brought<'_>,
    production_of: &dyn Fn(&str) -> Option<String>,
) -> Result<Cargo, DaemonError> {
    let snapshot = &desired.snapshot;
    let templates = templates(snapshot)?;
    let mut packer = Packer::new(brought, production_of, &templates, Some(&desired.reserved))?;
    let mut payloads = BTreeMap::new();
    for job in jobs {
        payloads.insert(job.id.clone(), packer.pack(job)?);
    }
    let mut secrets = BTreeMap::new();
    let names: BTreeSet<&String> = payloads.values().flat_map(PackedPayload::opened).collect();
    for name in names {
        if let Some(ciphertext) = snapshot.secret(name)? {
            secrets.insert(name.clone(), data_encoding::BASE64.encode(&ciphertext));
        }
    }
    Ok(Cargo {
        payloads,
        parts: packer.into_parts(),
        secrets,
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
        for held in store.held_jobs()? {
            unsettled.remove(&held.job.resource);
        }
    }
    Ok(unsettled)
}

/// The resources that the planner has to look at: those whose spec or secrets differ, those
/// that one side lacks, those that are asked for, and the fleet.
fn differing(
    specs: &Specs<'_>,
    heads: &[(ResourceId, RecordedHead)],
    known: &BTreeMap<String, String>,
    choice: &Choice,
) -> BTreeSet<ResourceId> {
    let asked = choice.rerun.iter().chain(choice.heal.keys());
    let mut differing: BTreeSet<ResourceId> = asked.cloned().collect();
    differing.insert(ResourceId::Fleet);
    // Both are sorted by id.
    let mut recorded = heads.iter().peekable();
    let desired = specs.desired;
    for (id, hash) in desired.hashes() {
        while recorded.next_if(|(known, _)| known < id).is_some() {}
        match recorded
            .next_if(|(known, _)| known == id)
            .map(|(_, head)| head)
        {
            Some(head) if head.spec_hash == hash => {
                let rotated = !head.secret_fingerprints.is_empty()
                    && specs.get(id).is_some_and(|spec| {
                        secret::fingerprints(&spec, known) != head.secret_fingerprints
                    });
                if rotated {
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
    differing
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
pub(super) fn template(
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

/// The state of the fleet repo that a snapshot shows.
pub(super) fn revision(snapshot: &Snapshot) -> PlannedRevision {
    let revision = &snapshot.revision;
    let id = match (&revision.commit, revision.dirty) {
        (Some(commit), false) => commit.clone(),
        _ => format!("dirty:{}", digest(snapshot)),
    };
    PlannedRevision {
        id,
        commit: revision.commit.clone(),
        author: revision
            .author
            .as_ref()
            .map(|author| format!("{} <{}>", author.name, author.email)),
        subject: (!revision.subject.is_empty()).then(|| revision.subject.clone()),
        committed_at: revision.time,
        dirty: revision.dirty || revision.commit.is_none(),
    }
}

/// A digest of the documents, for a state of the fleet repo that no commit names.
fn digest(snapshot: &Snapshot) -> String {
    let mut hasher = blake3::Hasher::new();
    for file in &snapshot.files {
        hasher.update(file.path.as_bytes());
        hasher.update(&[0]);
        hasher.update(&file.blob.0);
    }
    hasher.finalize().to_hex()[..32].to_owned()
}
