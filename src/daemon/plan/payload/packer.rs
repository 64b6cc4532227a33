//! Packing payloads: what a job concerns, in the form that it brings about.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use super::{PackedPayload, PartDigest, Parts};
use crate::core::change::SpecPatch;
use crate::core::document::fleet::Grant;
use crate::core::fast_map::HashMap;
use crate::core::id::ResourceId;
use crate::core::plan::PlannedJob;
use crate::core::plan::secret::{self, Need, Use};
use crate::core::secret_owner::{Owners, Reserved, User, grants_of};
use crate::core::spec::Spec;
use crate::daemon::error::DaemonError;
use crate::daemon::plan::entitlement::NotEntitled;

/// The specs that jobs carry with them.
pub(in crate::daemon) trait Carried {
    /// What tells the forms apart that a resource has for different jobs.
    fn version(&self, job: &PlannedJob, id: &ResourceId) -> Vec<usize>;

    /// The spec of a resource in one of its forms.
    fn spec(&self, id: &ResourceId, version: &[usize]) -> Option<Spec>;

    /// The patch that makes this form of nothing, if one alone does and it is canonical. It says the
    /// same as the spec, which takes longer to make.
    fn made(&self, id: &ResourceId, version: &[usize]) -> Option<&SpecPatch>;
}

/// Resources that look the same to every job.
impl<F: Fn(&ResourceId) -> Option<Spec>> Carried for F {
    fn version(&self, _: &PlannedJob, _: &ResourceId) -> Vec<usize> {
        Vec::new()
    }

    fn spec(&self, id: &ResourceId, _: &[usize]) -> Option<Spec> {
        self(id)
    }

    fn made(&self, _: &ResourceId, _: &[usize]) -> Option<&SpecPatch> {
        None
    }
}

/// A resource in one of its forms.
enum Content<'a> {
    Made(&'a SpecPatch),
    Spec(Spec),
}

impl Content<'_> {
    fn text(&self, field: &str) -> Option<&str> {
        match self {
            Self::Made(patch) => patch.text_of_new(field),
            Self::Spec(spec) => spec.str(field),
        }
    }

    fn uses(&self, id: &ResourceId) -> Vec<Use> {
        match self {
            Self::Made(patch) => secret::uses_of_new(id.kind(), patch),
            Self::Spec(spec) => secret::uses(id.kind(), spec),
        }
    }

    fn json(&self) -> serde_json::Result<String> {
        match self {
            Self::Made(patch) => patch.json_of_new(),
            Self::Spec(spec) => serde_json::to_string(spec),
        }
    }
}

/// Packs the payloads of a plan, or only looks at what they are going to be.
pub(in crate::daemon) struct Packer<'a> {
    carried: &'a dyn Carried,
    /// The name of a site's production environment.
    production_of: &'a dyn Fn(&str) -> Option<String>,
    templates: Option<PartDigest>,
    /// The names of secrets that no document may use; none where it is not asked now whose
    /// secrets those of a job are. That is asked in any case when it runs.
    reserved: Option<&'a Reserved>,
    grants: Option<Vec<Grant>>,
    /// What was packed and not taken yet; none when it only looks.
    parts: Option<Parts>,
    forms: HashMap<(ResourceId, Vec<usize>), Rc<Form>>,
}

/// What is needed again of a resource in one of its forms.
struct Form {
    id: ResourceId,
    /// None when nothing is packed.
    digest: Option<PartDigest>,
    from: Option<String>,
    uses: Vec<Use>,
}

/// What a job concerns.
struct Concern {
    fleet: Rc<Form>,
    node: Rc<Form>,
    site: Option<Rc<Form>>,
    env: Option<Rc<Form>>,
    source_env: Option<Rc<Form>>,
    secrets: BTreeSet<String>,
    key: Option<String>,
}

impl<'a> Packer<'a> {
    /// A packer of what is `carried`; all payloads get `templates`.
    ///
    /// # Errors
    /// When the templates cannot be written as JSON.
    pub(in crate::daemon) fn new(
        carried: &'a dyn Carried,
        production_of: &'a dyn Fn(&str) -> Option<String>,
        templates: &BTreeMap<String, String>,
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
            reserved: None,
            grants: None,
            parts: Some(parts),
            forms: HashMap::default(),
        })
    }

    /// One that packs nothing, and refuses jobs that would use what is not theirs.
    pub(in crate::daemon) fn that_looks(
        carried: &'a dyn Carried,
        production_of: &'a dyn Fn(&str) -> Option<String>,
        reserved: &'a Reserved,
    ) -> Self {
        Self {
            carried,
            production_of,
            templates: None,
            reserved: Some(reserved),
            grants: None,
            parts: None,
            forms: HashMap::default(),
        }
    }

    /// The payload of `job`.
    ///
    /// # Errors
    /// [`DaemonError::UnknownResource`] when no document describes what it concerns.
    pub(in crate::daemon) fn pack(
        &mut self,
        job: &PlannedJob,
    ) -> Result<PackedPayload, DaemonError> {
        let concern = self.concern(job)?;
        let digest = |form: &Rc<Form>| {
            let unknown = || DaemonError::UnknownResource(form.id.clone());
            form.digest.clone().ok_or_else(unknown)
        };
        let maybe = |form: &Option<Rc<Form>>| form.as_ref().map(digest).transpose();
        Ok(PackedPayload {
            fleet: digest(&concern.fleet)?,
            node: digest(&concern.node)?,
            site: maybe(&concern.site)?,
            env: maybe(&concern.env)?,
            source_env: maybe(&concern.source_env)?,
            templates: self.templates.clone(),
            secrets: concern.secrets.into_iter().collect(),
            key: concern.key,
        })
    }

    /// The names of the secrets that are opened for `job`.
    ///
    /// # Errors
    /// [`DaemonError::UnknownResource`] when no document describes what it concerns, and where it
    /// is asked [`DaemonError::NotOwned`] when it would use a secret that is not its own.
    pub(in crate::daemon) fn opened(
        &mut self,
        job: &PlannedJob,
    ) -> Result<BTreeSet<String>, DaemonError> {
        let concern = self.concern(job)?;
        let mut opened = concern.secrets;
        opened.extend(concern.key);
        Ok(opened)
    }

    /// What was packed since the last call, each part once.
    pub(in crate::daemon) fn take_parts(&mut self) -> Parts {
        self.parts.as_mut().map(std::mem::take).unwrap_or_default()
    }

    /// How many parts wait to be taken.
    pub(in crate::daemon) fn waiting(&self) -> usize {
        self.parts.as_ref().map_or(0, |parts| parts.0.len())
    }

    fn concern(&mut self, job: &PlannedJob) -> Result<Concern, DaemonError> {
        let fleet = self.form(job, ResourceId::Fleet)?;
        let node = self.form(job, ResourceId::Node(job.node.clone()))?;
        let site = job.resource.site();
        let site = site.map(|site| self.form(job, ResourceId::Site(site.to_owned())));
        let site = site.transpose()?;
        let env = job.environment(self.production_of);
        let env = env.map(|id| self.form(job, id)).transpose()?;
        let source_env = match (
            job.resource.site(),
            env.as_ref().and_then(|env| env.from.as_deref()),
        ) {
            (Some(site), Some(from)) => Some(self.form(job, ResourceId::env(site, from))?),
            _ => None,
        };
        let acts_as = job.job_type.acts_as(&job.resource);
        let mut secrets = BTreeSet::new();
        let mut key = None;
        for form in [Some(&node), site.as_ref(), env.as_ref()]
            .into_iter()
            .flatten()
        {
            for Use { name, need } in &form.uses {
                if *need == Need::Connection {
                    key = Some(name.clone());
                } else if secret::concerns(acts_as, form.id.kind(), *need) {
                    secrets.insert(name.clone());
                } else {
                    continue;
                }
                self.require_owned(name, &form.id)?;
            }
        }
        Ok(Concern {
            fleet,
            node,
            site,
            env,
            source_env,
            secrets,
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

    fn form(&mut self, job: &PlannedJob, id: ResourceId) -> Result<Rc<Form>, DaemonError> {
        let version = self.carried.version(job, &id);
        let key = (id, version);
        if let Some(form) = self.forms.get(&key) {
            return Ok(Rc::clone(form));
        }
        let (id, version) = &key;
        let carried = self.carried;
        let made = carried.made(id, version).map(Content::Made);
        let Some(content) = made.or_else(|| carried.spec(id, version).map(Content::Spec)) else {
            return Err(DaemonError::UnknownResource(key.0));
        };
        if self.reserved.is_some() {
            require_own(job, id, &content)?;
        }
        let digest = match &mut self.parts {
            Some(parts) => Some(parts.put(content.json()?)),
            None => None,
        };
        let form = Rc::new(Form {
            id: id.clone(),
            digest,
            from: content.text("from").map(str::to_owned),
            uses: content.uses(id),
        });
        self.forms.insert(key, Rc::clone(&form));
        Ok(form)
    }
}

/// Refuses a spec that says that it is of another resource: what runs the job would take its word.
fn require_own(
    job: &PlannedJob,
    id: &ResourceId,
    content: &Content<'_>,
) -> Result<(), NotEntitled> {
    let says = |field: &str| content.text(field).unwrap_or_default();
    let other = match id {
        ResourceId::Fleet => return Ok(()),
        ResourceId::Node(_) => ResourceId::Node(says("name").to_owned()),
        ResourceId::Site(_) => ResourceId::Site(says("name").to_owned()),
        ResourceId::Env { .. } => ResourceId::env(says("site"), says("name")),
    };
    if other == *id {
        return Ok(());
    }
    Err(NotEntitled::Another {
        resource: job.resource.clone(),
        other,
    })
}
