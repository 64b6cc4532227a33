//! The canonical form of a resource and the way back from it.

use serde::Serialize;
use serde_json::{Value, json};

use super::pruned::pruned;
use crate::core::document::{
    Environment, EnvironmentDocument, Fleet, FleetDocument, Missing, Node, NodeDocument, Site,
    SiteDocument,
};
use crate::core::id::ResourceId;
use crate::core::spec::{Spec, SpecHash};

/// What a document says at its top that is no part of the spec.
const NO_FIELDS: [&str; 3] = ["kind", "moved", "defaults"];

/// A recorded spec that this version cannot read.
#[derive(Debug, thiserror::Error)]
pub enum SpecError {
    #[error("this version cannot read the recorded {kind}: {reason}")]
    Unreadable {
        kind: &'static str,
        reason: serde_json::Error,
    },
    #[error("the recorded {kind} has no `{field}`")]
    Missing { kind: &'static str, field: String },
}

/// A resource that has a canonical form.
pub trait HasSpec: Serialize + Sized {
    /// The id of the resource.
    fn id(&self) -> ResourceId;

    /// The value that a canonical form stands for.
    ///
    /// # Errors
    /// [`SpecError`] when it was written by a version with other fields.
    fn from_spec(spec: &Spec) -> Result<Self, SpecError>;

    /// The value with every field of its type: what is empty is `null`, an empty list or map. Entries
    /// of lists leave out what they do not have.
    fn whole(&self) -> Value {
        // A derived `Serialize` of a struct with string keys gives an object.
        serde_json::to_value(self).unwrap_or_default()
    }

    /// Every field that has a value, without those that only say how to get there (`kind`,
    /// `moved`) and without `defaults`, which show in the resources that they are laid under.
    fn spec(&self) -> Spec {
        // A derived `Serialize` of a struct with string keys gives an object.
        let mut fields = pruned(self).unwrap_or_default();
        for name in NO_FIELDS {
            fields.remove(name);
        }
        Spec::new(fields)
    }

    /// The digest of the spec.
    fn spec_hash(&self) -> SpecHash {
        self.spec().hash()
    }
}

fn written<T: serde::de::DeserializeOwned>(
    spec: &Spec,
    kind: &'static str,
) -> Result<T, SpecError> {
    let mut map = spec.fields().clone();
    map.insert("kind".to_owned(), json!(kind));
    serde_json::from_value(Value::Object(map))
        .map_err(|reason| SpecError::Unreadable { kind, reason })
}

fn lacks(kind: &'static str) -> impl Fn(Missing) -> SpecError {
    move |missing| SpecError::Missing {
        kind,
        field: missing.path,
    }
}

impl HasSpec for Fleet {
    fn id(&self) -> ResourceId {
        ResourceId::Fleet
    }

    fn from_spec(spec: &Spec) -> Result<Self, SpecError> {
        written::<FleetDocument>(spec, "Fleet")?
            .resolve()
            .map_err(lacks("Fleet"))
    }
}

impl HasSpec for Node {
    fn id(&self) -> ResourceId {
        ResourceId::Node(self.name.to_string())
    }

    fn from_spec(spec: &Spec) -> Result<Self, SpecError> {
        written::<NodeDocument>(spec, "Node")?
            .resolve()
            .map_err(lacks("Node"))
    }
}

impl HasSpec for Site {
    fn id(&self) -> ResourceId {
        ResourceId::Site(self.name.to_string())
    }

    fn from_spec(spec: &Spec) -> Result<Self, SpecError> {
        written::<SiteDocument>(spec, "Site")?
            .resolve()
            .map_err(lacks("Site"))
    }
}

impl HasSpec for Environment {
    fn id(&self) -> ResourceId {
        ResourceId::env(self.site.as_str(), self.name.as_str())
    }

    fn from_spec(spec: &Spec) -> Result<Self, SpecError> {
        written::<EnvironmentDocument>(spec, "Environment")?
            .resolve()
            .map_err(lacks("Environment"))
    }
}
