//! What a job carries with it: everything that it concerns in the form that it brings about, and what its
//! success leaves in the record. With this the executor has nothing to look up or to decide.
//!
//! The jobs of a plan share most of it: all of them the fleet, those of a node the node. So
//! every part is kept once, by its digest, and a job names its parts.

mod packer;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::super::error::DaemonError;
use crate::core::change::SpecPatch;
use crate::core::desired::HasSpec;
use crate::core::document::{Environment, Fleet, Node, Site};
use crate::core::id::ResourceId;
use crate::core::plan::Effect;
use crate::core::recorded::Source;
use crate::core::spec::Spec;
use crate::store::{Claim, Store};
pub(in crate::daemon) use packer::{Carried, Packer};

/// The payload of one job, read into documents before anything else happens with it. It names
/// secrets and holds none.
#[derive(Clone, Debug, PartialEq)]
pub struct JobPayload {
    pub fleet: Fleet,
    pub node: Node,
    pub site: Option<Site>,
    pub env: Option<Environment>,
    /// The environment that `env` is made from.
    pub source_env: Option<Environment>,
    pub effects: Vec<Effect>,
    /// Templates of the fleet repo that take the place of ours, by path.
    pub templates: BTreeMap<String, String>,
    /// The names of the secrets that the documents of the job use, without doubles.
    pub secrets: Vec<String>,
    /// Secrets that the fleet repo holds, by name: digests of recorded ciphertexts. The other
    /// names are looked up in the control plane's own store.
    pub repo_secrets: BTreeMap<String, String>,
}

/// The digest of a part, in hexadecimal.
pub(in crate::daemon) type PartDigest = String;

/// The payload of one job with digests in the place of its parts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::daemon) struct PackedPayload {
    pub(in crate::daemon) fleet: PartDigest,
    pub(in crate::daemon) node: PartDigest,
    pub(in crate::daemon) site: Option<PartDigest>,
    pub(in crate::daemon) env: Option<PartDigest>,
    pub(in crate::daemon) source_env: Option<PartDigest>,
    pub(in crate::daemon) templates: Option<PartDigest>,
    /// The names of the secrets that the documents of the job use, without doubles.
    pub(in crate::daemon) secrets: Vec<String>,
    /// The name of the secret that the node is reached with, which no play is handed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(in crate::daemon) key: Option<String>,
}

/// A packed payload as it is queued.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::daemon) struct QueuedPayload {
    pub(in crate::daemon) parts: PackedPayload,
    pub(in crate::daemon) effects: Vec<QueuedEffect>,
    pub(in crate::daemon) repo_secrets: BTreeMap<String, String>,
}

/// What the success of a job leaves in the record of one resource, as it is queued.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::daemon) struct QueuedEffect {
    pub(in crate::daemon) resource: ResourceId,
    /// Whether all that the payload has of the resource is recorded, because the job makes it. Then
    /// there is no `patch`, which would say all of it once more.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    whole: bool,
    #[serde(default, skip_serializing_if = "SpecPatch::is_empty")]
    patch: SpecPatch,
    source: Option<Source>,
    fingerprints: BTreeMap<String, String>,
}

impl QueuedEffect {
    /// `is_whole` says that the payload has nothing of the resource but what the effect sets.
    pub(in crate::daemon) fn new(effect: &Effect, is_whole: bool) -> Self {
        Self {
            resource: effect.resource.clone(),
            whole: is_whole,
            patch: match is_whole {
                true => SpecPatch::default(),
                false => effect.patch.clone(),
            },
            source: effect.source.clone(),
            fingerprints: effect.fingerprints.clone(),
        }
    }
}

/// The parts of payloads: JSON by its digest.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::daemon) struct Parts(pub(in crate::daemon) BTreeMap<PartDigest, String>);

impl Parts {
    /// Takes a part in; its digest.
    fn put(&mut self, json: String) -> PartDigest {
        let digest = Self::digest(&json);
        self.0.entry(digest.clone()).or_insert(json);
        digest
    }

    /// The digest of a part.
    fn digest(json: &str) -> PartDigest {
        blake3::hash(json.as_bytes()).to_hex().to_string()
    }
}

impl PackedPayload {
    /// The names of all secrets that are opened for the job.
    pub(in crate::daemon) fn opened(&self) -> impl Iterator<Item = &String> {
        self.secrets.iter().chain(&self.key)
    }

    /// The part that is about a resource which the job works on.
    pub(in crate::daemon) fn part_of(&self, id: &ResourceId) -> Option<&PartDigest> {
        match id {
            ResourceId::Fleet => Some(&self.fleet),
            ResourceId::Node(_) => Some(&self.node),
            ResourceId::Site(_) => self.site.as_ref(),
            ResourceId::Env { .. } => self.env.as_ref(),
        }
    }
}

impl JobPayload {
    /// What a claimed job is to do.
    ///
    /// # Errors
    /// When the database fails or lacks a part, and [`DaemonError::Spec`] when another version wrote what this one
    /// cannot read.
    pub fn of(claim: &Claim, store: &Store) -> Result<Self, DaemonError> {
        let queued: QueuedPayload = serde_json::from_str(&claim.payload)?;
        let part = |digest: &str| match store.part(digest)? {
            Some(json) => Ok(json),
            None => Err(DaemonError::MissingPart(digest.to_owned())),
        };
        Self::unpack(queued, &part)
    }

    /// Puts a payload together; `part` gives the JSON of a digest.
    ///
    /// # Errors
    /// Those of `part`, and [`DaemonError::Spec`] when another version wrote what this one cannot
    /// read.
    pub(in crate::daemon) fn unpack(
        queued: QueuedPayload,
        part: &dyn Fn(&str) -> Result<String, DaemonError>,
    ) -> Result<Self, DaemonError> {
        fn document<T: HasSpec>(
            digest: &str,
            part: &dyn Fn(&str) -> Result<String, DaemonError>,
        ) -> Result<T, DaemonError> {
            let spec: Spec = serde_json::from_str(&part(digest)?)?;
            Ok(T::from_spec(&spec)?)
        }
        let packed = &queued.parts;
        let effect = |effect: QueuedEffect| {
            let patch = match (effect.whole, packed.part_of(&effect.resource)) {
                (false, _) => effect.patch,
                (true, Some(digest)) => SpecPatch::of(&serde_json::from_str(&part(digest)?)?),
                (true, None) => return Err(DaemonError::UnknownResource(effect.resource)),
            };
            Ok(Effect {
                resource: effect.resource,
                patch,
                source: effect.source,
                fingerprints: effect.fingerprints,
            })
        };
        let effects = queued.effects.into_iter().map(effect);
        let environment = |digest: &Option<PartDigest>| {
            let digest = digest.as_deref();
            digest.map(|digest| document(digest, part)).transpose()
        };
        let site = packed.site.as_deref();
        Ok(Self {
            fleet: document(&packed.fleet, part)?,
            node: document(&packed.node, part)?,
            site: site.map(|digest| document(digest, part)).transpose()?,
            env: environment(&packed.env)?,
            source_env: environment(&packed.source_env)?,
            effects: effects.collect::<Result<_, _>>()?,
            templates: match &packed.templates {
                Some(digest) => serde_json::from_str(&part(digest)?)?,
                None => BTreeMap::new(),
            },
            secrets: packed.secrets.clone(),
            repo_secrets: queued.repo_secrets,
        })
    }

    /// The environment that the job works on; for a new site its production environment.
    #[must_use]
    pub fn environment_id(&self) -> Option<ResourceId> {
        self.env.as_ref().map(HasSpec::id)
    }
}
