//! Identities of resources: `fleet`, `node/web-1`, `site/acme`, `env/acme/production`.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// What kind of thing a resource is; the order is the order in which things are built.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum ResourceKind {
    Fleet,
    Node,
    Site,
    Env,
}

impl ResourceKind {
    pub const ALL: &'static [Self] = &[Self::Fleet, Self::Node, Self::Site, Self::Env];

    /// The word that starts an id of this kind.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Fleet => "fleet",
            Self::Node => "node",
            Self::Site => "site",
            Self::Env => "env",
        }
    }
}

impl fmt::Display for ResourceKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The identity of one resource, stable over the life of the fleet.
///
/// The order is: fleet, nodes, sites, environments, each by name. Plans rely on it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, bitcode::Encode, bitcode::Decode)]
pub enum ResourceId {
    Fleet,
    Node(String),
    Site(String),
    Env { site: String, name: String },
}

impl ResourceId {
    /// The id of the environment `name` of `site`.
    #[must_use]
    pub fn env(site: &str, name: &str) -> Self {
        Self::Env {
            site: site.to_owned(),
            name: name.to_owned(),
        }
    }

    /// The kind of this resource.
    #[must_use]
    pub fn kind(&self) -> ResourceKind {
        match self {
            Self::Fleet => ResourceKind::Fleet,
            Self::Node(_) => ResourceKind::Node,
            Self::Site(_) => ResourceKind::Site,
            Self::Env { .. } => ResourceKind::Env,
        }
    }

    /// The site that this resource belongs to, if it is a site or an environment.
    #[must_use]
    pub fn site(&self) -> Option<&str> {
        match self {
            Self::Fleet | Self::Node(_) => None,
            Self::Site(site) | Self::Env { site, .. } => Some(site),
        }
    }
}

impl fmt::Display for ResourceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fleet => f.write_str("fleet"),
            Self::Node(name) => write!(f, "node/{name}"),
            Self::Site(name) => write!(f, "site/{name}"),
            Self::Env { site, name } => write!(f, "env/{site}/{name}"),
        }
    }
}

/// The text is not the id of a resource.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a resource id; write `node/NAME`, `site/NAME` or `env/SITE/NAME`")]
pub struct ParseResourceIdError(pub String);

impl FromStr for ResourceId {
    type Err = ParseResourceIdError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let error = || ParseResourceIdError(text.to_owned());
        let parts: Vec<&str> = text.split('/').collect();
        if parts.iter().any(|part| part.is_empty()) {
            return Err(error());
        }
        match parts.as_slice() {
            ["fleet"] => Ok(Self::Fleet),
            ["node", name] => Ok(Self::Node((*name).to_owned())),
            ["site", name] => Ok(Self::Site((*name).to_owned())),
            ["env", site, name] => Ok(Self::env(site, name)),
            _ => Err(error()),
        }
    }
}

impl JsonSchema for ResourceId {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "ResourceId".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "pattern": "^(fleet|node/[^/]+|site/[^/]+|env/[^/]+/[^/]+)$",
            "examples": ["node/web-1", "env/acme/production"],
        })
    }
}

impl Serialize for ResourceId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for ResourceId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_survive_the_round_trip_and_sort_by_kind() {
        let texts = ["fleet", "node/web-1", "site/acme", "env/acme/production"];
        let ids: Vec<ResourceId> = texts.iter().map(|t| t.parse().expect("valid id")).collect();
        let mut sorted = ids.clone();
        sorted.sort();
        assert_eq!(ids, sorted);
        assert_eq!(
            ids.iter().map(ToString::to_string).collect::<Vec<_>>(),
            texts
        );
    }

    #[test]
    fn other_texts_are_refused() {
        for text in ["", "node", "node/", "node/a/b", "env/a", "env//b", "Site/a"] {
            assert!(text.parse::<ResourceId>().is_err(), "{text}");
        }
    }
}
