//! The canonical form of a resource's fields: what is compared, recorded and hashed.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// The fields of one resource after defaults were merged, keys sorted, empty ones left out.
///
/// Two documents that mean the same have the same spec, whatever their comments, key order
/// or spelling of durations. A clone shares the fields.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Spec(Arc<Map<String, Value>>);

/// A digest of a [`Spec`], 32 bytes, shown as hex.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, bitcode::Encode, bitcode::Decode)]
pub struct SpecHash(pub [u8; 32]);

impl SpecHash {
    /// Stands for the spec of a resource that nothing asks for.
    pub const NOTHING: Self = Self([0; 32]);

    /// The digest of bytes that are already canonical JSON.
    #[must_use]
    pub fn of_canonical(json: &[u8]) -> Self {
        Self(*blake3::hash(json).as_bytes())
    }

    /// 64 lower-case hexadecimal characters.
    #[must_use]
    pub fn to_hex(self) -> String {
        blake3::Hash::from_bytes(self.0).to_hex().to_string()
    }
}

impl Serialize for SpecHash {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.to_hex())
    }
}

impl<'de> Deserialize<'de> for SpecHash {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let hash = blake3::Hash::from_hex(text).map_err(serde::de::Error::custom)?;
        Ok(Self(*hash.as_bytes()))
    }
}

impl std::fmt::Debug for SpecHash {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "SpecHash({})", &self.to_hex()[..12])
    }
}

impl Spec {
    /// The spec with these fields.
    #[must_use]
    pub fn new(fields: Map<String, Value>) -> Self {
        Self(Arc::new(fields))
    }

    #[must_use]
    pub fn fields(&self) -> &Map<String, Value> {
        &self.0
    }

    /// The fields, to be changed.
    pub fn fields_mut(&mut self) -> &mut Map<String, Value> {
        Arc::make_mut(&mut self.0)
    }

    #[must_use]
    pub fn into_fields(self) -> Map<String, Value> {
        Arc::unwrap_or_clone(self.0)
    }

    /// The digest of this spec's canonical JSON.
    #[must_use]
    pub fn hash(&self) -> SpecHash {
        SpecHash::of_canonical(self.canonical().as_bytes())
    }

    /// JSON without white space; the keys come sorted out of [`Map`].
    #[must_use]
    pub fn canonical(&self) -> String {
        // Keys that are strings and values that are JSON can always be written.
        serde_json::to_string(&*self.0).unwrap_or_default()
    }

    /// The value at a dotted path such as `php.memory`, or none.
    #[must_use]
    pub fn get(&self, path: &str) -> Option<&Value> {
        let mut parts = path.split('.');
        let first = self.0.get(parts.next()?)?;
        parts.try_fold(first, |value, part| value.get(part))
    }

    /// The string at a dotted path, or none.
    #[must_use]
    pub fn str(&self, path: &str) -> Option<&str> {
        self.get(path)?.as_str()
    }
}
