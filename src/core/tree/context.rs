//! What templates see: whole documents, in which every field of their kind is present.

use std::collections::BTreeMap;
use std::fmt;

use serde::Serialize;
use serde_json::{Map, Value, json};

use super::{RenderError, SENSITIVE};
use crate::core::facts::NodeFacts;
use crate::core::names::EnvironmentNames;

/// Everything that the files of one job depend on.
#[derive(Clone, Copy, Debug)]
pub struct RenderContext<'a> {
    /// Whole documents as JSON objects, see [`crate::core::desired::HasSpec::whole`].
    pub node: &'a Value,
    pub facts: Option<&'a NodeFacts>,
    pub site: Option<&'a Value>,
    pub env: Option<&'a Value>,
    pub names: Option<&'a EnvironmentNames>,
    /// WordPress's own address.
    pub url: Option<&'a str>,
    /// None renders [`SENSITIVE`] in place of every secret.
    pub secrets: Option<&'a SecretValues>,
}

/// The secrets of one job; they leave the process only into the files of its attempt.
#[derive(Clone, Default, PartialEq, Eq, Serialize)]
pub struct SecretValues {
    pub db_password: String,
    pub admin_password: String,
    /// By the name of their constant, such as `AUTH_KEY`.
    pub salts: BTreeMap<String, String>,
    /// By the name that a `secret:` reference gives.
    pub named: BTreeMap<String, String>,
}

impl fmt::Debug for SecretValues {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretValues(…)")
    }
}

/// The constants that WordPress wants salts in.
pub(super) const SALTS: [&str; 8] = [
    "AUTH_KEY",
    "SECURE_AUTH_KEY",
    "LOGGED_IN_KEY",
    "NONCE_KEY",
    "AUTH_SALT",
    "SECURE_AUTH_SALT",
    "LOGGED_IN_SALT",
    "NONCE_SALT",
];

/// How `secret:` references are looked up.
#[derive(Clone, Debug)]
pub(super) enum Named {
    Hidden,
    Known(BTreeMap<String, String>),
}

impl Named {
    pub(super) fn of(secrets: Option<&SecretValues>) -> Self {
        secrets.map_or(Self::Hidden, |secrets| Self::Known(secrets.named.clone()))
    }

    /// The secret behind `secret:NAME`; any other text is itself.
    pub(super) fn resolve<'a>(&'a self, text: &'a str) -> Result<&'a str, RenderError> {
        let Some(name) = text.strip_prefix("secret:") else {
            return Ok(text);
        };
        match self {
            Self::Hidden => Ok(SENSITIVE),
            Self::Known(values) => {
                values
                    .get(name)
                    .map(String::as_str)
                    .ok_or_else(|| RenderError::Value {
                        field: "secret",
                        value: name.to_owned(),
                        reason: "no secret of this name was handed to the job",
                    })
            }
        }
    }
}

impl RenderContext<'_> {
    /// The secrets as templates see them; `named` stays out, references go through `resolve`.
    pub(super) fn secrets_view(&self) -> Value {
        match self.secrets {
            Some(secrets) => json!({
                "db_password": secrets.db_password,
                "salts": secrets.salts,
            }),
            None => {
                let salts: Map<String, Value> = SALTS
                    .iter()
                    .map(|name| ((*name).to_owned(), json!(SENSITIVE)))
                    .collect();
                json!({"db_password": SENSITIVE, "salts": salts})
            }
        }
    }
}
