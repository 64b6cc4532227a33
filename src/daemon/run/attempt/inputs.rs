//! What a job needs to know: how its node is reached, and the secrets in the clear.

use std::collections::BTreeMap;
use std::error::Error;

use serde_json::{Map, Value, json};

use super::work::AttemptContext;
use crate::ansible::Host;
use crate::clock;
use crate::core::causes::chain;
use crate::core::document::Node;
use crate::core::job::{ErrorCode, JobType};
use crate::core::job_kind::Secrets;
use crate::core::outcome::Failure;
use crate::core::tree::{RenderError, SecretValues, login};
use crate::daemon::error::DaemonError;
use crate::daemon::plan::entitlement::{Entitled, entitled};
use crate::daemon::plan::payload::JobPayload;
use crate::secrets::{self, Origin, Secret};

/// The secrets of one job, in the clear.
pub(super) struct Revealed {
    /// Those that its play is handed, by name.
    pub(super) named: BTreeMap<String, String>,
    /// What its node is reached with.
    pub(super) key: Option<Secret<String>>,
    /// What must not be seen either.
    hidden: Vec<Secret<String>>,
}

impl Revealed {
    /// Every value that must not be seen, besides those in `values`, which have the named ones.
    pub(super) fn texts<'a>(&'a self, values: &'a SecretValues) -> impl Iterator<Item = &'a str> {
        let others = self.key.iter().chain(&self.hidden).map(Secret::expose);
        texts(values)
            .chain(others.map(String::as_str))
            .filter(|text| !text.is_empty())
    }
}

impl AttemptContext<'_> {
    /// The values that the job's documents refer to, and may.
    pub(super) fn revealed(&self, payload: &JobPayload) -> Result<Revealed, Failure> {
        let job = &self.claim.job;
        let about = (&job.resource, self.label.node.as_str());
        let refused = |error: &dyn Error| Failure::new(ErrorCode::SecretUnavailable, &chain(error));
        let Entitled {
            handed,
            hidden,
            key,
        } = entitled(payload, job.job_type, about, &self.runner.reserved)
            .map_err(|error| refused(&error))?;
        let reveal = |name: &str| {
            let origin = match payload.repo_secrets.get(name) {
                Some(digest) => Origin::Repo {
                    digest: digest.clone(),
                },
                None => Origin::Store,
            };
            let value = secrets::reveal(self.store, &self.runner.identity, name, &origin);
            value.map_err(|error| refused(&error))
        };
        let mut named = BTreeMap::new();
        for name in handed {
            let value = reveal(&name)?.expose().clone();
            named.insert(name, value);
        }
        // One of these that is not there can be seen nowhere.
        let hidden = hidden.iter().filter_map(|name| reveal(name).ok()).collect();
        Ok(Revealed {
            named,
            key: key.as_deref().map(reveal).transpose()?,
            hidden,
        })
    }

    /// What was generated for the environment, and what its documents refer to.
    pub(super) fn secret_values(
        &mut self,
        payload: &JobPayload,
        named: BTreeMap<String, String>,
    ) -> Result<SecretValues, DaemonError> {
        let Some(id) = payload.environment_id() else {
            return Ok(SecretValues {
                named,
                ..SecretValues::default()
            });
        };
        let identity = &self.runner.identity;
        let made = secrets::environment_secrets(self.store, identity, &id, clock::now())?;
        Ok(SecretValues {
            db_password: made.db_password.expose().clone(),
            admin_password: made.admin_password.expose().clone(),
            salts: made
                .salts
                .iter()
                .map(|(name, salt)| ((*name).to_owned(), salt.expose().clone()))
                .collect(),
            named,
        })
    }

    /// How the node is reached. Its pinned key is the one of the document, else the recorded.
    pub(super) fn host(
        &self,
        node: &Node,
        key: Option<&Secret<String>>,
    ) -> Result<Host, DaemonError> {
        let recorded = self.store.host_keys(&self.label.node)?;
        let pinned = node.ssh.host_key.as_ref().map(ToString::to_string);
        Ok(Host {
            name: self.label.node.clone(),
            address: node.host.to_string(),
            port: node.ssh.port.get(),
            user: node.ssh.user.to_string(),
            key: key.map(|key| key.expose().clone()),
            host_key: pinned.or_else(|| recorded.into_iter().next().map(|key| key.key)),
        })
    }
}

fn texts(secrets: &SecretValues) -> impl Iterator<Item = &str> {
    [&secrets.db_password, &secrets.admin_password]
        .into_iter()
        .chain(secrets.salts.values())
        .chain(secrets.named.values())
        .map(String::as_str)
}

/// The variable `pressluft_secrets` of a job that acts as one of this type. A look at pages needs
/// what they ask visitors for, and nothing else.
pub(super) fn variables_of(
    secrets: &SecretValues,
    acts_as: JobType,
    env: Option<&Value>,
) -> Result<Map<String, Value>, RenderError> {
    let handed = acts_as.kind().map(|kind| kind.secrets);
    let mut map = match (handed, json!(secrets)) {
        (Some(Secrets::OfNode | Secrets::OfEnvironment), Value::Object(map)) => map,
        _ => Map::new(),
    };
    // Whatever changes an environment looks at its pages afterwards.
    if let Some(env) = env {
        map.insert("login".to_owned(), json!(login(env, secrets)?));
    }
    Ok(map)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_job_is_handed_its_own_secrets_and_whoever_looks_at_pages_the_login() {
        let secrets = SecretValues {
            db_password: "db".to_owned(),
            named: [("a".to_owned(), "guest:Pass".to_owned())].into(),
            ..SecretValues::default()
        };
        let env = json!({"site": "acme", "http": {"basic_auth": null},
            "safety": {"basic_auth": "secret:a"}});
        for (job_type, env, has_all) in [
            (JobType::NodeProvision, None, true),
            (JobType::SiteCreate, Some(&env), true),
            (JobType::EnvCreate, Some(&env), true),
            (JobType::EnvConfigure, Some(&env), true),
            (JobType::HealthCheck, Some(&env), false),
        ] {
            let given = variables_of(&secrets, job_type, env).expect("they were handed");
            assert_eq!(given.contains_key("db_password"), has_all, "{job_type}");
            assert_eq!(given.contains_key("named"), has_all, "{job_type}");
            let login = given.get("login").and_then(Value::as_str);
            assert_eq!(login, env.map(|_| "guest:Pass"), "{job_type}");
        }
    }
}
