//! From a payload to what a playbook is given: names, variables, file tree.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde_json::{Map, Value, json};

use super::payload::JobPayload;
use super::render::render_in_bounds;
use super::sources::{self, SourceError, SourceFile, SourceSettings};
use crate::core::desired::HasSpec;
use crate::core::document::Environment;
use crate::core::document::environment::EnvironmentType;
use crate::core::document::scalar::{HostName, IpAddress, Locale};
use crate::core::facts::NodeFacts;
use crate::core::job::JobType;
use crate::core::job_kind::SourceKind;
use crate::core::names::{EnvironmentNames, environment_names, public_address};
use crate::core::tree::{RenderContext, RenderError, SecretValues, Templates, Tree};

/// Everything about one job that its playbook and its files are functions of.
#[derive(Clone, Debug)]
pub struct Subject {
    pub payload: JobPayload,
    /// The whole documents, as templates and playbooks see them.
    pub node: Value,
    pub site: Option<Value>,
    pub env: Option<Value>,
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
        let node = &payload.node;
        let address = public_address(
            node.public_ip.as_ref().map(IpAddress::as_str),
            Some(node.host.as_str()),
            facts.as_ref(),
        );
        let domain = payload.fleet.preview.domain.as_ref();
        let domain = domain.map(HostName::as_str);
        let names_of = |env: &Environment| {
            environment_names(env.site.as_str(), env.name.as_str(), address, domain)
        };
        let names = payload.env.as_ref().map(names_of);
        let source_names = payload.source_env.as_ref().map(names_of);
        let url_of = |names: &Option<EnvironmentNames>| names.as_ref()?.preview_url();
        Self {
            url: url_of(&names),
            source_url: url_of(&source_names),
            wordpress: sources::wordpress(&payload.fleet, payload.site.as_ref()),
            wp_cli: sources::wp_cli(&payload.fleet),
            release: None,
            node: node.whole(),
            site: payload.site.as_ref().map(HasSpec::whole),
            env: payload.env.as_ref().map(HasSpec::whole),
            names,
            source_names,
            facts,
            payload,
        }
    }

    /// Checks those sources that jobs of this type use.
    ///
    /// # Errors
    /// When one of them cannot be read or is not what the documents may name.
    pub(super) fn with_sources(
        mut self,
        job_type: JobType,
        settings: &SourceSettings,
    ) -> Result<Self, SourceError> {
        for source in job_type.kind().map_or(&[][..], |kind| kind.sources) {
            match source {
                SourceKind::WpCli => {
                    self.wp_cli = self.wp_cli.checked("sources.wp_cli", settings)?;
                }
                SourceKind::WordPress => {
                    self.wordpress = self.wordpress.checked("sources.wordpress", settings)?;
                }
            }
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
        let Some(render) = job_type.kind().and_then(|kind| kind.tree) else {
            return Ok(None);
        };
        let overrides = self.payload.templates.clone();
        let templates = Templates::with_overrides(overrides, render_in_bounds)?;
        let context = RenderContext {
            node: &self.node,
            facts: self.facts.as_ref(),
            site: self.site.as_ref(),
            env: self.env.as_ref(),
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

    /// The options of WordPress that are kept: those of the document, and what others of its fields stand for.
    fn options(&self) -> Option<BTreeMap<String, Value>> {
        let (site, env) = (self.payload.site.as_ref()?, self.payload.env.as_ref()?);
        let is_standard = site.locale == Locale::standard();
        let language = if is_standard {
            ""
        } else {
            site.locale.as_str()
        };
        let mut options = BTreeMap::from([("WPLANG".to_owned(), json!(language))]);
        // The title belongs to the site; a copy keeps the one that it was copied with.
        if env.r#type == EnvironmentType::Production {
            options.insert("blogname".to_owned(), json!(site.title));
        }
        let own = env.options.iter();
        options.extend(own.map(|(name, value)| (name.to_string(), json!(value))));
        Some(options)
    }

    /// The units of an environment that run.
    fn units(&self) -> Option<Vec<String>> {
        let (names, env) = (self.names.as_ref()?, self.payload.env.as_ref()?);
        let mut units = vec![format!("pressluft-php-{}.socket", names.system)];
        if env.cron.interval.as_secs() > 0 {
            units.push(format!("pressluft-cron-{}.timer", names.system));
        }
        Some(units)
    }

    /// The variable `pressluft`. By the control plane and the token of the claim the node tells
    /// who may change it.
    #[must_use]
    pub fn variables(
        &self,
        job: &str,
        job_type: JobType,
        is_look: bool,
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
                "is_look": is_look,
                "attempt": attempt,
                "control_plane": control_plane,
                "token": token,
            },
            "node": self.node,
            "facts": self.facts,
            "site": self.site,
            "env": self.env,
            "names": self.names,
            "options": self.options(),
            "units": self.units(),
            "health_timeout": self.payload.env.as_ref().map(|env| env.health.timeout.as_secs()),
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
