//! HTTP statuses.

use serde::{Deserialize, Deserializer, Serialize};

/// The status code of an HTTP answer, from 100 to 599.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, bitcode::Encode,
         bitcode::Decode)]
#[serde(transparent)]
pub struct HttpStatus(u16);

impl HttpStatus {
    /// 200, what a healthy page answers with.
    #[must_use]
    pub const fn ok() -> Self {
        Self(200)
    }

    /// The code as a number.
    #[must_use]
    pub const fn code(self) -> u16 {
        self.0
    }
}

impl<'de> Deserialize<'de> for HttpStatus {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match u16::deserialize(deserializer)? {
            code @ 100..=599 => Ok(Self(code)),
            _ => Err(serde::de::Error::custom("a status is a number from 100 to 599")),
        }
    }
}

impl schemars::JsonSchema for HttpStatus {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "HttpStatus".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "type": "integer", "minimum": 100, "maximum": 599,
            "description": "The status code of an HTTP answer.", "examples": [200],
        })
    }
}

/// The status of a redirect: 301, 302, 307 or 308.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, bitcode::Encode,
         bitcode::Decode)]
#[serde(transparent)]
pub struct RedirectStatus(u16);

impl RedirectStatus {
    /// 301, moved for good.
    #[must_use]
    pub const fn permanently() -> Self {
        Self(301)
    }

    /// The code as a number.
    #[must_use]
    pub const fn code(self) -> u16 {
        self.0
    }
}

impl<'de> Deserialize<'de> for RedirectStatus {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match u16::deserialize(deserializer)? {
            code @ (301 | 302 | 307 | 308) => Ok(Self(code)),
            _ => Err(serde::de::Error::custom("the status is one of 301, 302, 307, 308")),
        }
    }
}

impl schemars::JsonSchema for RedirectStatus {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "RedirectStatus".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "type": "integer", "enum": [301, 302, 307, 308],
            "description": "301 and 308: moved for good; 302 and 307: moved for now. 307 and 308 \
                            keep the method of the request.",
        })
    }
}
