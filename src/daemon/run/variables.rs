//! From a payload to what a playbook is given: names, variables, file tree.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde_json::{Map, Value, json};

use super::super::plan::followers::LANGUAGE;
use super::super::plan::payload::JobPayload;
use super::super::sources::{self, Languages, SourceError, SourceFile, SourceSettings};
use super::render::render_in_bounds;
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
    pub wordpress: SourceFile,
    pub wp_cli: SourceFile,
    /// Of an environment that has an object cache.
    pub object_cache: Option<SourceFile>,
    /// None where no translation is placed.
    pub languages: Option<Languages>,
    /// The files of the control plane that the job places.
    files: Vec<PathBuf>,
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
            wordpress: sources::wordpress(&payload.fleet, payload.site.as_ref()),
            wp_cli: sources::wp_cli(&payload.fleet),
            object_cache: sources::object_cache(&payload.fleet, payload.env.as_ref()),
            languages: None,
            files: Vec::new(),
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
            let (file, field) = match source {
                SourceKind::WpCli => (&mut self.wp_cli, "sources.wp_cli"),
                SourceKind::WordPress => (&mut self.wordpress, "sources.wordpress"),
                SourceKind::ObjectCache => match &mut self.object_cache {
                    Some(file) => (file, "sources.object_cache"),
                    None => continue,
                },
                SourceKind::Languages => {
                    let languages = Languages::of(&self.payload.fleet, self.locale(), settings);
                    self.files.extend(languages.files().map(PathBuf::from));
                    self.languages = Some(languages);
                    continue;
                }
            };
            *file = file.clone().checked(field, settings)?;
            self.files.extend(file.path.clone());
        }
        Ok(self)
    }

    /// The subject of a look at an environment that is recorded to serve this release.
    pub(super) fn serving(self, release: Option<String>) -> Self {
        Self { release, ..self }
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

    /// The files of the control plane that the job places: of what its documents name those that it
    /// uses, and that were checked.
    pub(in crate::daemon) fn files(&self) -> Vec<PathBuf> {
        self.files.clone()
    }

    /// The language of the environment: that of its options, or of its site.
    fn locale(&self) -> Locale {
        let options = self.options().unwrap_or_default();
        let named = options.get(LANGUAGE).cloned();
        let named = named.and_then(|name| serde_json::from_value(name).ok());
        named.unwrap_or_else(Locale::standard)
    }

    /// The options of WordPress that are kept: those of the document, and what others of its fields stand for.
    fn options(&self) -> Option<BTreeMap<String, Value>> {
        let (site, env) = (self.payload.site.as_ref()?, self.payload.env.as_ref()?);
        let mut options = BTreeMap::from([(LANGUAGE.to_owned(), json!(site.locale))]);
        // The title belongs to the site; a copy keeps the one that it was copied with.
        if env.r#type == EnvironmentType::Production {
            options.insert("blogname".to_owned(), json!(site.title));
        }
        let own = env.options.iter();
        options.extend(own.map(|(name, value)| (name.to_string(), json!(value))));
        // WordPress has no name for the language that it is written in.
        if options.get(LANGUAGE) == Some(&json!(Locale::standard())) {
            options.insert(LANGUAGE.to_owned(), json!(""));
        }
        Some(options)
    }

    /// The units of an environment that run.
    fn units(&self) -> Option<Vec<String>> {
        let (names, env) = (self.names.as_ref()?, self.payload.env.as_ref()?);
        let mut units = vec![format!("pressluft-php-{}.socket", names.system)];
        if env.cron.interval.as_secs() > 0 {
            units.push(format!("pressluft-cron-{}.timer", names.system));
        }
        if env.cache.object {
            units.push(format!("pressluft-redis-{}.service", names.system));
        }
        if env.cache.page {
            units.push(format!("pressluft-purge-{}.path", names.system));
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
        in_check_mode: bool,
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
                "in_check_mode": in_check_mode,
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
            "paths": {
                "wordpress_zip": path(&self.wordpress),
                "wp_cli": path(&self.wp_cli),
                "object_cache": self.object_cache.as_ref().and_then(path),
            },
            "wordpress": self.wordpress,
            "wp_cli": self.wp_cli,
            "object_cache": self.object_cache,
            "languages": self.languages,
        });
        match value {
            Value::Object(map) => map,
            _ => Map::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::document::{Fleet, Node, Site};
    use crate::core::tree::login;

    fn document<T: HasSpec>(spec: Value) -> T {
        let spec = serde_json::from_value(spec).expect("a spec");
        T::from_spec(&spec).expect("a document")
    }

    /// The subject of a job of an environment of acme, with what is laid over a plain one.
    fn subject(name: &str, more: &Value) -> Subject {
        let mut env = json!({"site": "acme", "name": name, "type": name,
            "safety": {"mail": "send", "noindex": false}, "cron": {"interval": "5m"}});
        if let (Some(env), Some(more)) = (env.as_object_mut(), more.as_object()) {
            env.extend(more.clone());
        }
        let site = json!({"name": "acme", "node": "web-1", "title": "Acme", "locale": "de_DE",
            "admin": {"user": "owner", "email": "owner@acme.example"}});
        let payload = JobPayload {
            fleet: document::<Fleet>(json!({"version": 1, "name": "studio"})),
            node: document::<Node>(json!({"name": "web-1", "host": "203.0.113.10"})),
            site: Some(document::<Site>(site)),
            env: Some(document(env)),
            source_env: None,
            effects: Vec::new(),
            templates: BTreeMap::new(),
            secrets: Vec::new(),
            repo_secrets: BTreeMap::new(),
        };
        Subject::new(payload, None)
    }

    #[test]
    fn a_playbook_is_given_what_the_documents_stand_for() {
        let plain = subject("production", &json!({}));
        let given = plain.variables("j", JobType::EnvConfigure, false, 1, "age1", 7);
        let names: Vec<&str> = given.keys().map(String::as_str).collect();
        insta::assert_snapshot!(names.join(" "), @"env facts health_timeout job languages names node object_cache options paths release site source_names units url wordpress wp_cli");
        assert_eq!(given["health_timeout"], 10);
        assert_eq!(given["env"]["expires"], Value::Null);
        assert_eq!(
            given["options"],
            json!({"WPLANG": "de_DE", "blogname": "Acme"})
        );
        assert_eq!(
            given["units"],
            json!([
                "pressluft-php-wp_acme_production.socket",
                "pressluft-cron-wp_acme_production.timer"
            ])
        );
        // A copy keeps the title that it was copied with, and what a document says comes last.
        let more = json!({"from": "production", "cron": {"interval": "0s"},
            "options": {"WPLANG": "", "posts_per_page": 7}});
        let copy = subject("staging", &more);
        assert_eq!(
            json!(copy.options()),
            json!({"WPLANG": "", "posts_per_page": 7})
        );
        assert_eq!(subject("production", &json!({})).locale().as_str(), "de_DE");
        assert_eq!(copy.locale(), Locale::standard());
        let french = json!({"options": {"WPLANG": "fr_FR"}});
        assert_eq!(subject("production", &french).locale().as_str(), "fr_FR");
        let english = json!({"options": {"WPLANG": "en_US"}});
        let options = subject("production", &english).options();
        assert_eq!(json!(options)["WPLANG"], "");
        assert_eq!(
            json!(copy.units()),
            json!(["pressluft-php-wp_acme_staging.socket"])
        );
    }

    #[test]
    fn a_look_at_pages_has_the_login_that_visitors_need() {
        let named = [("a", "guest:Pa:ss"), ("b", "Pass")];
        let secrets = SecretValues {
            named: named
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .into(),
            ..SecretValues::default()
        };
        let safety = |reference: Value| json!({"safety": {"mail": "send", "noindex": false, "basic_auth": reference}});
        let own = json!({"http": {"basic_auth": {"user": "anna", "password": "secret:b"}},
            "safety": {"mail": "send", "noindex": false, "basic_auth": "secret:a"}});
        for (more, expected) in [
            (json!({}), None),
            (safety(json!("secret:a")), Some("guest:Pa:ss")),
            (safety(json!("secret:b")), Some("acme:Pass")),
            (own, Some("anna:Pass")),
        ] {
            let env = subject("staging", &more).env.expect("an environment");
            let found = login(&env, &secrets).expect("they were handed");
            assert_eq!(found.as_deref(), expected, "{more}");
        }
        let env = subject("staging", &safety(json!("secret:none"))).env;
        assert!(login(&env.expect("an environment"), &secrets).is_err());
    }
}
