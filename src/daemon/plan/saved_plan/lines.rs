//! The lines of a saved plan. What the first effects of a fleet set, most others set as well, so
//! a leaf is written once and a number from then on.

use std::fmt;
use std::io::{self, Write};

use serde::de::{Error as _, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;

use crate::core::change::{Change, SpecPatch};
use crate::core::fast_map::HashMap;
use crate::core::id::ResourceId;
use crate::core::job::JobType;
use crate::core::leaf::Leaf;
use crate::core::plan::{Action, Blocked, Effect, PlannedJob, RecordOnly, Removed};
use crate::core::recorded::Source;
use crate::core::spec::SpecHash;
use crate::daemon::plan::prepared::{PlannedRevision, Prepared};

/// One line.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub(super) enum Line {
    Plan {
        revision: PlannedRevision,
        partial: bool,
        max_parallel_nodes: Option<usize>,
    },
    Template {
        path: String,
        text: String,
    },
    Secret {
        name: String,
        ciphertext: String,
    },
    Before {
        resource: ResourceId,
        patch: SavedPatch,
    },
    Production {
        site: String,
        name: String,
    },
    Job(SavedJob),
    Record {
        resource: ResourceId,
        changes: Vec<Change>,
        effect: SavedEffect,
    },
    Blocked(Blocked),
    Removed(Removed),
    Generation {
        resource: ResourceId,
        generation: u64,
    },
    Wanted {
        resource: ResourceId,
        hash: SpecHash,
    },
}

/// The most keys that lead to a field. Documents have half of them.
const DEEPEST: usize = 32;

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SavedJob {
    id: String,
    job_type: JobType,
    resource: ResourceId,
    node: String,
    action: Action,
    reason: String,
    changes: Vec<Change>,
    after: Vec<String>,
    effects: Vec<SavedEffect>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SavedEffect {
    resource: ResourceId,
    patch: SavedPatch,
    source: Option<Source>,
    fingerprints: std::collections::BTreeMap<String, String>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SavedPatch {
    set: Vec<SavedLeaf>,
    unset: Vec<Vec<String>>,
}

/// A leaf, or the number of one that was written before, from 0.
enum SavedLeaf {
    Known(usize),
    New(Leaf),
}

/// Writes all lines of a plan.
pub(super) fn write(prepared: &Prepared, out: &mut dyn Write) -> io::Result<()> {
    let mut writer = Writer {
        out,
        buffer: Vec::new(),
        known: HashMap::default(),
    };
    let plan = &prepared.plan;
    writer.line(&Line::Plan {
        revision: prepared.revision.clone(),
        partial: plan.partial,
        max_parallel_nodes: prepared.max_parallel_nodes,
    })?;
    for (path, text) in &prepared.templates {
        let (path, text) = (path.clone(), text.clone());
        writer.line(&Line::Template { path, text })?;
    }
    for (name, ciphertext) in &prepared.repo_secrets {
        let (name, ciphertext) = (name.clone(), ciphertext.clone());
        writer.line(&Line::Secret { name, ciphertext })?;
    }
    for (resource, patch) in &prepared.before {
        let (resource, patch) = (resource.clone(), writer.patch(patch));
        writer.line(&Line::Before { resource, patch })?;
    }
    for (site, name) in &prepared.productions {
        let (site, name) = (site.clone(), name.clone());
        writer.line(&Line::Production { site, name })?;
    }
    for job in &plan.jobs {
        let job = writer.job(job);
        writer.line(&Line::Job(job))?;
    }
    for record in &plan.records {
        let effect = writer.effect(&record.effect);
        writer.line(&Line::Record {
            resource: record.resource.clone(),
            changes: record.changes.clone(),
            effect,
        })?;
    }
    for blocked in &plan.blocked {
        writer.line(&Line::Blocked(blocked.clone()))?;
    }
    for removed in &plan.removed {
        writer.line(&Line::Removed(removed.clone()))?;
    }
    for (resource, generation) in &plan.generations {
        writer.line(&Line::Generation {
            resource: resource.clone(),
            generation: *generation,
        })?;
    }
    for (resource, hash) in &prepared.wanted {
        writer.line(&Line::Wanted {
            resource: resource.clone(),
            hash: *hash,
        })?;
    }
    Ok(())
}

struct Writer<'a> {
    out: &'a mut dyn Write,
    /// The line that is made.
    buffer: Vec<u8>,
    /// The numbers of the leaves that were written, by where they are kept.
    known: HashMap<*const (Vec<String>, Value), usize>,
}

impl Writer<'_> {
    fn line(&mut self, line: &Line) -> io::Result<()> {
        self.buffer.clear();
        serde_json::to_writer(&mut self.buffer, line)?;
        self.buffer.push(b'\n');
        self.out.write_all(&self.buffer)
    }

    fn job(&mut self, job: &PlannedJob) -> SavedJob {
        SavedJob {
            id: job.id.clone(),
            job_type: job.job_type,
            resource: job.resource.clone(),
            node: job.node.clone(),
            action: job.action,
            reason: job.reason.clone(),
            changes: job.changes.clone(),
            after: job.after.clone(),
            effects: job
                .effects
                .iter()
                .map(|effect| self.effect(effect))
                .collect(),
        }
    }

    fn effect(&mut self, effect: &Effect) -> SavedEffect {
        SavedEffect {
            resource: effect.resource.clone(),
            patch: self.patch(&effect.patch),
            source: effect.source.clone(),
            fingerprints: effect.fingerprints.clone(),
        }
    }

    fn patch(&mut self, patch: &SpecPatch) -> SavedPatch {
        let leaf = |leaf: &Leaf| {
            let next = self.known.len();
            let number = *self.known.entry(Leaf::as_ptr(leaf)).or_insert(next);
            match number == next {
                true => SavedLeaf::New(Leaf::clone(leaf)),
                false => SavedLeaf::Known(number),
            }
        };
        SavedPatch {
            set: patch.set.iter().map(leaf).collect(),
            unset: patch.unset.clone(),
        }
    }
}

/// Puts a plan together from its lines.
#[derive(Default)]
pub(super) struct Reader {
    prepared: Prepared,
    known: Vec<Leaf>,
    has_plan: bool,
}

impl Reader {
    /// Takes the next line in, or says why it cannot be one.
    pub(super) fn take(&mut self, line: Line) -> Result<(), String> {
        let prepared = &mut self.prepared;
        if !self.has_plan && !matches!(line, Line::Plan { .. }) {
            return Err("it does not begin with a plan".to_owned());
        }
        match line {
            Line::Plan {
                revision,
                partial,
                max_parallel_nodes,
            } => {
                if self.has_plan {
                    return Err("it has two plans".to_owned());
                }
                self.has_plan = true;
                prepared.revision = revision;
                prepared.plan.partial = partial;
                prepared.max_parallel_nodes = max_parallel_nodes;
            }
            Line::Template { path, text } => {
                prepared.templates.insert(path, text);
            }
            Line::Secret { name, ciphertext } => {
                prepared.repo_secrets.insert(name, ciphertext);
            }
            Line::Before { resource, patch } => {
                let patch = self.patch(patch)?;
                self.prepared.before.insert(resource, patch);
            }
            Line::Production { site, name } => {
                prepared.productions.insert(site, name);
            }
            Line::Job(job) => {
                let job = self.job(job)?;
                self.prepared.plan.jobs.push(job);
            }
            Line::Record {
                resource,
                changes,
                effect,
            } => {
                let effect = self.effect(effect)?;
                self.prepared.plan.records.push(RecordOnly {
                    resource,
                    changes,
                    effect,
                });
            }
            Line::Blocked(blocked) => prepared.plan.blocked.push(blocked),
            Line::Removed(removed) => prepared.plan.removed.push(removed),
            Line::Generation {
                resource,
                generation,
            } => {
                prepared.plan.generations.insert(resource, generation);
            }
            Line::Wanted { resource, hash } => {
                prepared.wanted.insert(resource, hash);
            }
        }
        Ok(())
    }

    /// The plan, once all lines were taken in.
    pub(super) fn finish(self) -> Result<Prepared, String> {
        match self.has_plan {
            true => Ok(self.prepared),
            false => Err("it has no plan".to_owned()),
        }
    }

    fn job(&mut self, job: SavedJob) -> Result<PlannedJob, String> {
        let effects = job.effects.into_iter().map(|effect| self.effect(effect));
        Ok(PlannedJob {
            effects: effects.collect::<Result<_, _>>()?,
            id: job.id,
            job_type: job.job_type,
            resource: job.resource,
            node: job.node,
            action: job.action,
            reason: job.reason,
            changes: job.changes,
            after: job.after,
        })
    }

    fn effect(&mut self, effect: SavedEffect) -> Result<Effect, String> {
        Ok(Effect {
            resource: effect.resource,
            patch: self.patch(effect.patch)?,
            source: effect.source,
            fingerprints: effect.fingerprints,
        })
    }

    fn patch(&mut self, patch: SavedPatch) -> Result<SpecPatch, String> {
        let leaf = |leaf: SavedLeaf| match leaf {
            SavedLeaf::Known(number) => {
                let known = self.known.get(number).cloned();
                known.ok_or_else(|| format!("it names a field {number} that it does not have"))
            }
            SavedLeaf::New(leaf) => {
                self.known.push(Leaf::clone(&leaf));
                Ok(leaf)
            }
        };
        let set = patch.set.into_iter().map(leaf);
        let set: Vec<Leaf> = set.collect::<Result<_, _>>()?;
        let paths = set.iter().map(|leaf| &leaf.0).chain(&patch.unset);
        if paths
            .max_by_key(|path| path.len())
            .is_some_and(|path| path.len() > DEEPEST)
        {
            return Err("it has a field that is too deep".to_owned());
        }
        Ok(SpecPatch {
            set,
            unset: patch.unset,
        })
    }
}

impl Serialize for SavedLeaf {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Known(number) => number.serialize(serializer),
            Self::New(leaf) => leaf.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for SavedLeaf {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either;

        impl<'de> Visitor<'de> for Either {
            type Value = SavedLeaf;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a leaf or its number")
            }

            fn visit_u64<E: serde::de::Error>(self, number: u64) -> Result<SavedLeaf, E> {
                let number = usize::try_from(number).map_err(E::custom)?;
                Ok(SavedLeaf::Known(number))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut parts: A) -> Result<SavedLeaf, A::Error> {
                let missing = || A::Error::custom("a leaf has a path and a value");
                let path = parts.next_element()?.ok_or_else(missing)?;
                let value = parts.next_element()?.ok_or_else(missing)?;
                Ok(SavedLeaf::New(Leaf::new((path, value))))
            }
        }

        deserializer.deserialize_any(Either)
    }
}
