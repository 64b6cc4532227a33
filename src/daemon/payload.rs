//! What a job carries with it: everything that it concerns in the form that it brings about, and what its
//! success leaves in the record. With this the executor has nothing to look up or to decide.
//!
//! The jobs of a plan share most of it: all of them the fleet, those of a node the node. So
//! every part is kept once, by its digest, and a job names its parts.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use serde::{Deserialize, Serialize};

use super::error::DaemonError;
use crate::core::desired::HasSpec;
use crate::core::document::fleet::Grant;
use crate::core::document::{Environment, Fleet, Node, Site};
use crate::core::id::ResourceId;
use crate::core::plan::secret::{self, Need, Use};
use crate::core::plan::{Effect, PlannedJob};
use crate::core::secret_owner::{Owners, Reserved, User, grants_of};
use crate::core::spec::Spec;

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
pub type PartDigest = String;

/// The payload of one job with digests in the place of its parts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PackedPayload {
    pub fleet: PartDigest,
    pub node: PartDigest,
    pub site: Option<PartDigest>,
    pub env: Option<PartDigest>,
    pub source_env: Option<PartDigest>,
    pub templates: Option<PartDigest>,
    /// The names of the secrets that the documents of the job use, without doubles.
    pub secrets: Vec<String>,
    /// The name of the secret that the node is reached with, which no play is handed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
}

/// A packed payload as it is queued.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct QueuedPayload {
    pub(super) parts: PackedPayload,
    pub(super) effects: Vec<Effect>,
    pub(super) repo_secrets: BTreeMap<String, String>,
}

/// The parts of payloads: JSON by its digest.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Parts(pub BTreeMap<PartDigest, String>);

impl Parts {
    /// Takes a part in; its digest.
    fn put(&mut self, json: String) -> PartDigest {
        let digest = Self::digest(&json);
        self.0.entry(digest.clone()).or_insert(json);
        digest
    }

    /// The digest of a part.
    #[must_use]
    pub fn digest(json: &str) -> PartDigest {
        blake3::hash(json.as_bytes()).to_hex().to_string()
    }

    /// Whether every part is what its digest says.
    #[must_use]
    pub fn are_intact(&self) -> bool {
        self.0
            .iter()
            .all(|(digest, json)| Self::digest(json) == *digest)
    }
}

impl PackedPayload {
    /// The names of all secrets that are opened for the job.
    pub(super) fn opened(&self) -> impl Iterator<Item = &String> {
        self.secrets.iter().chain(&self.key)
    }
}

/// The specs that jobs carry with them.
pub(super) trait Carried {
    /// What tells the forms apart that a resource has for different jobs.
    fn version(&self, job: &PlannedJob, id: &ResourceId) -> Vec<usize>;

    /// The spec of a resource in one of its forms.
    fn spec(&self, id: &ResourceId, version: &[usize]) -> Option<Spec>;
}

/// Resources that look the same to every job.
impl<F: Fn(&ResourceId) -> Option<Spec>> Carried for F {
    fn version(&self, _: &PlannedJob, _: &ResourceId) -> Vec<usize> {
        Vec::new()
    }

    fn spec(&self, id: &ResourceId, _: &[usize]) -> Option<Spec> {
        self(id)
    }
}

/// Packs the payloads of a plan.
pub(super) struct Packer<'a> {
    carried: &'a dyn Carried,
    /// The name of a site's production environment.
    production_of: &'a dyn Fn(&str) -> Option<String>,
    templates: Option<PartDigest>,
    /// The names of secrets that no document may use; none where it is not asked now whose
    /// secrets those of a job are. That is asked in any case when it runs.
    reserved: Option<&'a Reserved>,
    grants: Option<Vec<Grant>>,
    parts: Parts,
    packed: HashMap<(ResourceId, Vec<usize>), Packed>,
}

/// What is needed again of a resource whose spec is a part already.
#[derive(Clone)]
struct Packed {
    digest: PartDigest,
    from: Option<String>,
    uses: Vec<Use>,
}

impl<'a> Packer<'a> {
    /// A packer of what is `carried`; all payloads get `templates`. With
    /// `reserved` it refuses jobs that use what is not theirs.
    ///
    /// # Errors
    /// When the templates cannot be written as JSON.
    pub(super) fn new(
        carried: &'a dyn Carried,
        production_of: &'a dyn Fn(&str) -> Option<String>,
        templates: &BTreeMap<String, String>,
        reserved: Option<&'a Reserved>,
    ) -> Result<Self, DaemonError> {
        let mut parts = Parts::default();
        let templates = match templates.is_empty() {
            true => None,
            false => Some(parts.put(serde_json::to_string(templates)?)),
        };
        Ok(Self {
            carried,
            production_of,
            templates,
            reserved,
            grants: None,
            parts,
            packed: HashMap::new(),
        })
    }

    /// The payload of `job`.
    ///
    /// # Errors
    /// [`DaemonError::UnknownResource`] when no document describes what it concerns, and
    /// [`DaemonError::NotOwned`] when it would use a secret that is not its own.
    pub(super) fn pack(&mut self, job: &PlannedJob) -> Result<PackedPayload, DaemonError> {
        let fleet = self.resource(job, ResourceId::Fleet)?;
        let node_id = ResourceId::Node(job.node.clone());
        let node = self.resource(job, node_id.clone())?;
        let site_id = job.resource.site();
        let site_id = site_id.map(|site| ResourceId::Site(site.to_owned()));
        let site = site_id.clone().map(|id| self.resource(job, id));
        let site = site.transpose()?;
        let env_id = job.environment(self.production_of);
        let env = env_id.clone().map(|id| self.resource(job, id));
        let env = env.transpose()?;
        let source_env = match (
            job.resource.site(),
            env.as_ref().and_then(|env| env.from.as_deref()),
        ) {
            (Some(site), Some(from)) => Some(self.resource(job, ResourceId::env(site, from))?),
            _ => None,
        };
        let parts = [
            Some((node_id, &node)),
            site_id.zip(site.as_ref()),
            env_id.zip(env.as_ref()),
        ];
        let acts_as = job.job_type.acts_as(&job.resource);
        let mut secrets = BTreeSet::new();
        let mut key = None;
        for (id, packed) in parts.into_iter().flatten() {
            for Use { name, need } in &packed.uses {
                if *need == Need::Connection {
                    key = Some(name.clone());
                } else if secret::concerns(acts_as, id.kind(), *need) {
                    secrets.insert(name.clone());
                } else {
                    continue;
                }
                self.require_owned(name, &id)?;
            }
        }
        Ok(PackedPayload {
            fleet: fleet.digest,
            node: node.digest,
            site: site.map(|packed| packed.digest),
            env: env.map(|packed| packed.digest),
            source_env: source_env.map(|packed| packed.digest),
            templates: self.templates.clone(),
            secrets: secrets.into_iter().collect(),
            key,
        })
    }

    fn require_owned(&mut self, name: &str, id: &ResourceId) -> Result<(), DaemonError> {
        let Some(reserved) = self.reserved else {
            return Ok(());
        };
        let carried = self.carried;
        let grants = self.grants.get_or_insert_with(|| {
            let fleet = carried.spec(&ResourceId::Fleet, &[]);
            fleet.as_ref().map(grants_of).unwrap_or_default()
        });
        let owners = Owners { grants, reserved };
        Ok(owners.check(name, &User::Resource(id.clone()))?)
    }

    /// The parts of all that was packed.
    pub(super) fn into_parts(self) -> Parts {
        self.parts
    }

    fn resource(&mut self, job: &PlannedJob, id: ResourceId) -> Result<Packed, DaemonError> {
        let version = self.carried.version(job, &id);
        let id = (id, version);
        if let Some(packed) = self.packed.get(&id) {
            return Ok(packed.clone());
        }
        let Some(spec) = self.carried.spec(&id.0, &id.1) else {
            return Err(DaemonError::UnknownResource(id.0));
        };
        let packed = Packed {
            digest: self.parts.put(serde_json::to_string(&spec)?),
            from: spec.str("from").map(str::to_owned),
            uses: secret::uses(id.0.kind(), &spec),
        };
        self.packed.insert(id, packed.clone());
        Ok(packed)
    }
}

impl JobPayload {
    /// Puts a payload together; `part` gives the JSON of a digest.
    ///
    /// # Errors
    /// Those of `part`, and [`DaemonError::Spec`] when another version wrote what this one cannot
    /// read.
    pub fn unpack(
        packed: &PackedPayload,
        effects: Vec<Effect>,
        repo_secrets: BTreeMap<String, String>,
        part: &dyn Fn(&str) -> Result<String, DaemonError>,
    ) -> Result<Self, DaemonError> {
        fn document<T: HasSpec>(
            digest: &str,
            part: &dyn Fn(&str) -> Result<String, DaemonError>,
        ) -> Result<T, DaemonError> {
            let spec: Spec = serde_json::from_str(&part(digest)?)?;
            Ok(T::from_spec(&spec)?)
        }
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
            effects,
            templates: match &packed.templates {
                Some(digest) => serde_json::from_str(&part(digest)?)?,
                None => BTreeMap::new(),
            },
            secrets: packed.secrets.clone(),
            repo_secrets,
        })
    }

    /// The environment that the job works on; for a new site its production environment.
    #[must_use]
    pub fn environment_id(&self) -> Option<ResourceId> {
        self.env.as_ref().map(HasSpec::id)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::core::job::JobType;
    use crate::core::plan::Action;

    fn spec(json: serde_json::Value) -> Spec {
        serde_json::from_value(json).expect("a spec")
    }

    fn lookup(id: &ResourceId) -> Option<Spec> {
        Some(match id {
            ResourceId::Fleet => spec(serde_json::json!({"version": 1, "name": "bench"})),
            ResourceId::Node(name) => spec(serde_json::json!({"name": name, "host": "192.0.2.1",
                    "ssh": {"key": format!("secret:nodes/{name}/ssh")}})),
            ResourceId::Site(name) => spec(serde_json::json!({"name": name, "node": "web-1",
                "title": "A site", "admin": {"user": "owner", "email": "owner@acme.example"}})),
            ResourceId::Env { name, .. } if name == "staging" => spec(
                serde_json::json!({"site": "acme", "name": "staging", "type": "staging",
                    "from": "production", "cron": {"interval": "0s"},
                    "safety": {"basic_auth": "secret:sites/acme/login", "mail": "capture",
                        "noindex": true},
                    "constants": {"KEY": "secret:sites/acme/key"}}),
            ),
            ResourceId::Env { site, name } => spec(serde_json::json!({"site": site, "name": name,
                "type": "production", "safety": {"mail": "send", "noindex": false},
                "cron": {"interval": "5m"}})),
        })
    }

    fn job(resource: ResourceId) -> PlannedJob {
        PlannedJob {
            id: "j0".to_owned(),
            job_type: JobType::EnvCreate,
            resource,
            node: "web-1".to_owned(),
            action: Action::Create,
            reason: String::new(),
            changes: Vec::new(),
            after: Vec::new(),
            effects: Vec::new(),
        }
    }

    #[test]
    fn what_jobs_share_is_kept_once_and_comes_back_whole() {
        let production_of = |_: &str| Some("production".to_owned());
        let mut packer =
            Packer::new(&lookup, &production_of, &BTreeMap::new(), None).expect("no templates");
        let jobs = [
            job(ResourceId::Node("web-1".to_owned())),
            job(ResourceId::Site("acme".to_owned())),
            job(ResourceId::env("acme", "staging")),
        ];
        let packed: Vec<PackedPayload> = jobs
            .iter()
            .map(|job| packer.pack(job).expect("all are known"))
            .collect();
        let parts = packer.into_parts();
        // The fleet, the node, the site and its two environments; the three jobs name 11.
        assert_eq!(parts.0.len(), 5);
        let part = |digest: &str| Ok(parts.0[digest].clone());
        let whole = JobPayload::unpack(&packed[2], Vec::new(), BTreeMap::new(), &part)
            .expect("every part is there");
        assert_eq!(
            whole.environment_id(),
            Some(ResourceId::env("acme", "staging"))
        );
        let production = ResourceId::env("acme", "production");
        assert_eq!(whole.source_env.map(|env| env.id()), Some(production));
        assert_eq!(
            whole.env.map(|env| env.php.workers.get()),
            Some(4),
            "defaults"
        );
        assert_eq!(whole.secrets, ["sites/acme/key", "sites/acme/login"]);
    }

    #[test]
    fn a_job_has_what_its_documents_use_and_the_key_of_its_node_apart() {
        let production_of = |_: &str| Some("production".to_owned());
        let used = |job_type: JobType, resource: ResourceId| {
            let mut packer =
                Packer::new(&lookup, &production_of, &BTreeMap::new(), None).expect("no templates");
            let planned = PlannedJob {
                job_type,
                ..job(resource)
            };
            let packed = packer.pack(&planned).expect("all are known");
            assert_eq!(packed.key.as_deref(), Some("nodes/web-1/ssh"));
            packed.secrets
        };
        let node = ResourceId::Node("web-1".to_owned());
        let staging = ResourceId::env("acme", "staging");
        let none: [&str; 0] = [];
        assert_eq!(used(JobType::NodeProvision, node), none);
        assert_eq!(
            used(JobType::EnvConfigure, staging),
            ["sites/acme/key", "sites/acme/login"]
        );
    }

    #[test]
    fn a_job_that_would_use_what_is_not_its_own_is_not_packed() {
        let production_of = |_: &str| Some("production".to_owned());
        let foreign = |id: &ResourceId| match id {
            ResourceId::Env { .. } => Some(spec(serde_json::json!({
                "name": "production", "constants": {"KEY": "secret:sites/bakery/key"}}))),
            other => lookup(other),
        };
        let reserved = Reserved::default();
        let mut packer = Packer::new(&foreign, &production_of, &BTreeMap::new(), Some(&reserved))
            .expect("no templates");
        let planned = job(ResourceId::env("acme", "production"));
        let refused = packer.pack(&planned).expect_err("it is another site's");
        assert!(matches!(refused, DaemonError::NotOwned(_)), "{refused}");
        assert!(
            refused.to_string().contains("belongs to `site/bakery`"),
            "{refused}"
        );
    }

    #[test]
    fn what_another_version_recorded_is_named() {
        let fleet = json!({"version": 1, "name": "x", "sources": {"wordpress": "/srv/wp.zip"}});
        let parts = |id: &ResourceId| match id {
            ResourceId::Fleet => Some(spec(fleet.clone())),
            other => lookup(other),
        };
        let production_of = |_: &str| Some("production".to_owned());
        let mut packer =
            Packer::new(&parts, &production_of, &BTreeMap::new(), None).expect("no templates");
        let packed = packer.pack(&job(ResourceId::Node("web-1".to_owned())));
        let (packed, parts) = (packed.expect("known"), packer.into_parts());
        let part = |digest: &str| Ok(parts.0[digest].clone());
        let read = JobPayload::unpack(&packed, Vec::new(), BTreeMap::new(), &part);
        let error = read.expect_err("it has another form");
        assert!(matches!(error, DaemonError::Spec(_)), "{error}");
        assert!(error.to_string().contains("the recorded Fleet"), "{error}");
    }

    #[test]
    fn a_changed_part_is_noticed() {
        let mut parts = Parts::default();
        let digest = parts.put("{}".to_owned());
        assert!(parts.are_intact());
        parts.0.insert(digest, "{\"user\":\"root\"}".to_owned());
        assert!(!parts.are_intact());
    }
}
