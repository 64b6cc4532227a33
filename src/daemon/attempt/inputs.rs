//! What a job needs to know: how its node is reached, and the secrets in the clear.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::chain;
use super::work::Work;
use crate::ansible::Host;
use crate::clock;
use crate::core::job::ErrorCode;
use crate::core::outcome::Failure;
use crate::core::tree::SecretValues;
use crate::daemon::error::DaemonError;
use crate::daemon::payload::JobPayload;
use crate::secrets::{self, Origin};

impl Work<'_> {
    /// The values that the documents refer to, by name.
    pub(super) fn named_secrets(
        &self,
        payload: &JobPayload,
    ) -> Result<BTreeMap<String, String>, Failure> {
        let mut named = BTreeMap::new();
        for name in &payload.secrets {
            let origin = match payload.repo_secrets.get(name) {
                Some(digest) => Origin::Repo {
                    digest: digest.clone(),
                },
                None => Origin::Store,
            };
            let value = secrets::reveal(self.store, &self.runner.identity, name, &origin)
                .map_err(|error| Failure::new(ErrorCode::SecretUnavailable, &chain(&error)))?;
            named.insert(name.clone(), value.expose().clone());
        }
        Ok(named)
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
            redis_password: made.redis_password.expose().clone(),
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
        payload: &JobPayload,
        named: &BTreeMap<String, String>,
    ) -> Result<Result<Host, Failure>, DaemonError> {
        let node = &payload.node;
        let Some(address) = node.str("host") else {
            let message = format!("`node/{}` has no `host`", self.label.node);
            return Ok(Err(Failure::new(ErrorCode::RenderFailed, &message)));
        };
        let recorded = self.store.host_keys(&self.label.node)?;
        let key_of = |reference: &str| named.get(reference.strip_prefix("secret:")?).cloned();
        Ok(Ok(Host {
            name: self.label.node.clone(),
            address: address.to_owned(),
            port: node
                .get("ssh.port")
                .and_then(Value::as_u64)
                .and_then(|port| u16::try_from(port).ok())
                .unwrap_or(22),
            user: node.str("ssh.user").unwrap_or("root").to_owned(),
            key: node.str("ssh.key").and_then(key_of),
            host_key: node
                .str("ssh.host_key")
                .map(str::to_owned)
                .or_else(|| recorded.into_iter().next().map(|key| key.key)),
        }))
    }
}

/// Every value that must not be seen.
pub(super) fn texts(secrets: &SecretValues) -> impl Iterator<Item = &str> {
    [
        &secrets.db_password,
        &secrets.redis_password,
        &secrets.admin_password,
    ]
    .into_iter()
    .chain(secrets.salts.values())
    .chain(secrets.named.values())
    .map(String::as_str)
    .filter(|text| !text.is_empty())
}

/// The variable `pressluft_secrets`.
pub(super) fn variables_of(secrets: &SecretValues) -> Result<Map<String, Value>, DaemonError> {
    match serde_json::to_value(secrets)? {
        Value::Object(map) => Ok(map),
        _ => Ok(Map::new()),
    }
}
