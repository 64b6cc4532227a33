//! From a payload to what a playbook is given: names, variables, file tree.

use std::path::PathBuf;

use serde_json::{Map, Value, json};

use super::payload::JobPayload;
use super::sources::{self, SourceError, SourceFile};
use crate::core::facts::NodeFacts;
use crate::core::job::JobType;
use crate::core::names::{EnvironmentNames, environment_names, public_address};
use crate::core::spec::Spec;
use crate::core::tree::{self, RenderContext, RenderError, SecretValues, Templates, Tree};

/// Everything about one job that its playbook and its files are functions of.
#[derive(Clone, Debug)]
pub struct Subject {
    pub payload: JobPayload,
    pub facts: Option<NodeFacts>,
    pub names: Option<EnvironmentNames>,
    pub source_names: Option<EnvironmentNames>,
    /// Where the environment answers: `http://acme.203-0-113-10.sslip.io`.
    pub url: Option<String>,
    pub source_url: Option<String>,
    pub wordpress: SourceFile,
    pub wp_cli: SourceFile,
    /// For a look, the release that the environment is recorded to serve.
    pub release: Option<String>,
}

impl Subject {
    /// The subject of a job, given what is recorded of its node.
    #[must_use]
    pub fn new(payload: JobPayload, facts: Option<NodeFacts>) -> Self {
        let address = public_address(&payload.node, facts.as_ref());
        let domain = payload.fleet.str("preview.domain");
        let names_of = |env: &Spec| -> Option<EnvironmentNames> {
            let site = payload.site.as_ref()?.str("name")?;
            Some(environment_names(site, env.str("name")?, address, domain))
        };
        let names = payload.env.as_ref().and_then(names_of);
        let source_names = payload.source_env.as_ref().and_then(names_of);
        let url_of = |names: &Option<EnvironmentNames>| names.as_ref()?.preview_url();
        Self {
            url: url_of(&names),
            source_url: url_of(&source_names),
            wordpress: sources::wordpress(&payload.fleet, payload.site.as_ref()),
            wp_cli: sources::wp_cli(&payload.fleet),
            release: None,
            names,
            source_names,
            facts,
            payload,
        }
    }

    /// Looks at those source files that jobs of this type take from the control plane.
    ///
    /// # Errors
    /// When one of them cannot be read.
    pub(super) fn with_sources(mut self, job_type: JobType) -> Result<Self, SourceError> {
        if job_type == JobType::NodeProvision {
            self.wp_cli.check("sources.wp_cli")?;
        } else if matches!(job_type, JobType::SiteCreate | JobType::EnvCreate) {
            self.wordpress.read_digest("sources.wordpress")?;
        }
        Ok(self)
    }

    /// The files that a job of this type places on the node, or none when it places none.
    /// Without secrets they are a picture, with `(sensitive)` in the place of each.
    ///
    /// # Errors
    /// When a template of the fleet repo is wrong, or a value has no safe form in its file.
    pub fn tree(
        &self,
        job_type: JobType,
        secrets: Option<&SecretValues>,
    ) -> Result<Option<Tree>, RenderError> {
        let render = match job_type {
            JobType::NodeProvision => tree::node_tree,
            JobType::SiteCreate | JobType::EnvCreate | JobType::EnvConfigure => {
                tree::environment_tree
            }
            _ => return Ok(None),
        };
        let templates = self
            .payload
            .templates
            .iter()
            .try_fold(Templates::embedded(), |templates, (path, text)| {
                templates.with_override(path, text.clone())
            })?;
        let value = |spec: &Spec| Value::Object(spec.0.clone());
        let (fleet, node) = (value(&self.payload.fleet), value(&self.payload.node));
        let (site, env) = (
            self.payload.site.as_ref().map(value),
            self.payload.env.as_ref().map(value),
        );
        let context = RenderContext {
            fleet: &fleet,
            node: &node,
            facts: self.facts.as_ref(),
            site: site.as_ref(),
            env: env.as_ref(),
            names: self.names.as_ref(),
            url: self.url.as_deref(),
            secrets,
        };
        render(&context, &templates).map(Some)
    }

    /// The files of the control plane that jobs send to nodes.
    #[must_use]
    pub(super) fn files(&self) -> Vec<PathBuf> {
        let sources = [&self.wordpress, &self.wp_cli];
        sources
            .into_iter()
            .filter_map(|source| source.path.clone())
            .collect()
    }

    /// The variable `pressluft`. By the control plane and the token of the claim the node tells
    /// who may change it.
    #[must_use]
    pub fn variables(
        &self,
        job: &str,
        job_type: &str,
        attempt: u32,
        control_plane: &str,
        token: u64,
    ) -> Map<String, Value> {
        let path =
            |source: &SourceFile| source.path.as_ref().map(|path| path.display().to_string());
        let value = json!({
            "job": {
                "id": job,
                "type": job_type,
                "attempt": attempt,
                "control_plane": control_plane,
                "token": token,
            },
            "fleet": self.payload.fleet,
            "node": self.payload.node,
            "facts": self.facts,
            "site": self.payload.site,
            "env": self.payload.env,
            "names": self.names,
            "source_env": self.payload.source_env,
            "source_names": self.source_names,
            "release": self.release,
            "url": self.url,
            "source_url": self.source_url,
            "paths": {
                "wordpress_zip": path(&self.wordpress),
                "wp_cli": path(&self.wp_cli),
            },
            "wordpress": self.wordpress,
            "wp_cli": self.wp_cli,
        });
        match value {
            Value::Object(map) => map,
            _ => Map::new(),
        }
    }
}
