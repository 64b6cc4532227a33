//! A value whose type its reader decides: of a PHP setting, a constant, an option, a label.

use std::fmt;

use serde::de::{Error, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::{Malformed, Scalar, SecretRef, is_hidden};

/// A boolean, a whole number or a text. A text that begins with `secret:` stands for the
/// secret of that name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, bitcode::Encode, bitcode::Decode)]
pub enum Value {
    Bool(bool),
    Integer(i64),
    Text(String),
    Secret(SecretRef),
}

impl Value {
    /// The value of a text: a reference to a secret, or the text itself.
    ///
    /// # Errors
    /// [`Malformed`] for control characters, very long texts and malformed references.
    pub fn text(text: &str) -> Result<Self, Malformed> {
        if text.starts_with(super::SECRET_PREFIX) {
            return SecretRef::parse(text).map(Self::Secret);
        }
        if text.len() > 10_000 {
            return Err(Malformed::new("the value is longer than 10000 bytes"));
        }
        if let Some(c) = text.chars().find(|c| is_hidden(*c)) {
            return Err(Malformed::new(format!(
                "the character U+{:04X} cannot be seen and is not allowed here",
                u32::from(c)
            ))
            .hint("remove it"));
        }
        Ok(Self::Text(text.to_owned()))
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bool(value) => write!(f, "{value}"),
            Self::Integer(value) => write!(f, "{value}"),
            Self::Text(value) => f.write_str(value),
            Self::Secret(value) => write!(f, "{value}"),
        }
    }
}

impl Serialize for Value {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Bool(value) => serializer.serialize_bool(*value),
            Self::Integer(value) => serializer.serialize_i64(*value),
            Self::Text(value) => serializer.serialize_str(value),
            Self::Secret(value) => value.serialize(serializer),
        }
    }
}

struct ValueVisitor;

impl Visitor<'_> for ValueVisitor {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("`true`, `false`, a whole number or a text")
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Integer(value))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Value, E> {
        i64::try_from(value).map(Value::Integer).map_err(E::custom)
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Value, E> {
        Value::text(value).map_err(E::custom)
    }
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // A fraction is refused: `1.10` would silently become `1.1`.
        deserializer.deserialize_any(ValueVisitor)
    }
}

impl schemars::JsonSchema for Value {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Value".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "type": ["string", "integer", "boolean"],
            "format": "value",
            "description": "`true`, `false`, a whole number or a text; `secret:NAME` stands for \
                            the secret of that name.",
            "examples": [true, 12, "on", "secret:sites/acme/licence"],
        })
    }
}
