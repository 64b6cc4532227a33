//! Whole numbers with limits.

use std::fmt;

use serde::de::{Unexpected, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

macro_rules! bounded {
    ($(#[doc = $doc:literal])* $name:ident($number:ty), $range:pat, $min:literal, $max:literal,
     $example:literal) => {
        $(#[doc = $doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize,
                 bitcode::Encode, bitcode::Decode)]
        #[serde(transparent)]
        pub struct $name($number);

        impl $name {
            /// The number, or none when it is outside the limits.
            #[must_use]
            pub const fn new(number: $number) -> Option<Self> {
                match number {
                    $range => Some(Self(number)),
                    _ => None,
                }
            }

            /// The number.
            #[must_use]
            pub const fn get(self) -> $number {
                self.0
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let (least, most) = ($min, $max);
                let number = deserializer.deserialize_i64(Whole { least, most })?;
                let number = <$number>::try_from(number).ok().and_then(Self::new);
                // It is within the limits, so it is one of them.
                number.ok_or_else(|| serde::de::Error::custom(Whole { least, most }))
            }
        }

        impl schemars::JsonSchema for $name {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
                schemars::json_schema!({
                    "type": "integer", "minimum": $min, "maximum": $max,
                    "description": concat!($($doc),*).trim(), "examples": [$example],
                })
            }
        }
    };
}

/// Reads a whole number within limits, and says which where it is none.
#[derive(Clone, Copy, Debug)]
struct Whole {
    least: i64,
    most: i64,
}

impl fmt::Display for Whole {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a whole number from {} to {}", self.least, self.most)
    }
}

impl Visitor<'_> for Whole {
    type Value = i64;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }

    fn visit_i64<E: serde::de::Error>(self, number: i64) -> Result<i64, E> {
        match (self.least..=self.most).contains(&number) {
            true => Ok(number),
            false => Err(E::invalid_value(Unexpected::Signed(number), &self)),
        }
    }

    fn visit_u64<E: serde::de::Error>(self, number: u64) -> Result<i64, E> {
        match i64::try_from(number) {
            Ok(number) => self.visit_i64(number),
            Err(_) => Err(E::invalid_value(Unexpected::Unsigned(number), &self)),
        }
    }
}

bounded! {
    /// A TCP port.
    Port(u16), 1..=65535, 1, 65535, 22
}

bounded! {
    /// A share in percent.
    Percent(u8), 0..=100, 0, 100, 10
}

bounded! {
    /// How many PHP processes there may be.
    Workers(u16), 1..=500, 1, 500, 4
}

bounded! {
    /// How many things may go on at the same time.
    Parallel(u16), 1..=1000, 1, 1000, 8
}

bounded! {
    /// How many releases are kept.
    Releases(u16), 1..=100, 1, 100, 5
}

bounded! {
    /// How many of something are kept.
    Keep(u16), 0..=1000, 0, 1000, 7
}

bounded! {
    /// How many of something there may be.
    Count(u16), 0..=1000, 0, 1000, 1
}

bounded! {
    /// How many entries of the past are kept.
    Amount(u64), 0..=1_000_000_000, 0, 1_000_000_000, 10_000
}

bounded! {
    /// The status code of an HTTP answer: of the last one to a request.
    HttpStatus(u16), 200..=599, 200, 599, 200
}

impl Port {
    /// 22.
    pub const SSH: Self = Self(22);
}

impl Percent {
    /// 10 %.
    pub const TENTH: Self = Self(10);
    /// 25 %.
    pub const QUARTER: Self = Self(25);
}

impl Workers {
    /// 4, enough for a small site.
    pub const FEW: Self = Self(4);
}

impl Parallel {
    /// 8.
    pub const STANDARD: Self = Self(8);
}

impl Releases {
    /// 5.
    pub const STANDARD: Self = Self(5);
}

impl Keep {
    /// One for each day of a week.
    pub const WEEK: Self = Self(7);
    /// 4.
    pub const MONTH: Self = Self(4);
    /// 6.
    pub const HALF_YEAR: Self = Self(6);
}

impl Count {
    /// 1.
    pub const ONE: Self = Self(1);
}

impl HttpStatus {
    /// 200, what a healthy page answers with.
    pub const OK: Self = Self(200);
}

/// The status of a redirect: 301, 302, 307 or 308.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    bitcode::Encode,
    bitcode::Decode,
)]
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
            _ => Err(serde::de::Error::custom(
                "the status is one of 301, 302, 307, 308",
            )),
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
