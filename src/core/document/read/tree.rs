//! A document as a tree in which every key and value knows its place.

use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_yaml::Spanned;
use serde_yaml::options::DuplicateKeyPolicy;

use super::split::Segment;
use super::{Place, Problem, syntax, yaml};

/// A value and its place.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Tree {
    pub(crate) place: Place,
    pub(crate) value: Branch,
}

/// A key and its place.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Key {
    pub(crate) place: Place,
    pub(crate) text: String,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Branch {
    /// Keys may occur twice.
    Map(Vec<(Key, Tree)>),
    List(Vec<Tree>),
    /// The text as it was written, without quotes.
    Scalar {
        text: String,
        quoted: bool,
    },
    /// `null`, `~` or nothing at all.
    Null,
}

impl Tree {
    /// The value of the first key of this name.
    pub(crate) fn get(&self, name: &str) -> Option<(&Key, &Self)> {
        match &self.value {
            Branch::Map(entries) => entries
                .iter()
                .find(|(key, _)| key.text == name)
                .map(|(key, tree)| (key, tree)),
            Branch::List(_) | Branch::Scalar { .. } | Branch::Null => None,
        }
    }
}

/// Reads a document into a tree.
pub(crate) fn read(segment: &Segment<'_>) -> Result<Tree, Problem> {
    let options = yaml::options(DuplicateKeyPolicy::PassThrough);
    match serde_yaml::from_str_with_options::<Spanned<Raw>>(segment.text, options) {
        Ok(raw) => Ok(tree(segment, raw)),
        Err(error) => Err(syntax::problem(segment, &error, "yaml-syntax")),
    }
}

/// What the YAML reader tells about a value; it has no text for a plain scalar that looks
/// like a number, which is taken from the source later.
enum Raw {
    Map(Vec<(Spanned<String>, Spanned<Raw>)>),
    List(Vec<Spanned<Raw>>),
    Text(String),
    Plain,
    Null,
}

struct RawVisitor;

impl<'de> Visitor<'de> for RawVisitor {
    type Value = Raw;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<Raw, E> {
        Ok(Raw::Plain)
    }

    fn visit_i64<E: Error>(self, _: i64) -> Result<Raw, E> {
        Ok(Raw::Plain)
    }

    fn visit_u64<E: Error>(self, _: u64) -> Result<Raw, E> {
        Ok(Raw::Plain)
    }

    fn visit_i128<E: Error>(self, _: i128) -> Result<Raw, E> {
        Ok(Raw::Plain)
    }

    fn visit_u128<E: Error>(self, _: u128) -> Result<Raw, E> {
        Ok(Raw::Plain)
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<Raw, E> {
        Ok(Raw::Plain)
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Raw, E> {
        Ok(Raw::Text(text.to_owned()))
    }

    fn visit_unit<E: Error>(self) -> Result<Raw, E> {
        Ok(Raw::Null)
    }

    fn visit_none<E: Error>(self) -> Result<Raw, E> {
        Ok(Raw::Null)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Raw, D::Error> {
        Raw::deserialize(deserializer)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Raw, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element()? {
            list.push(item);
        }
        Ok(Raw::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Raw, A::Error> {
        let mut map = Vec::new();
        while let Some(entry) = entries.next_entry()? {
            map.push(entry);
        }
        Ok(Raw::Map(map))
    }
}

impl<'de> Deserialize<'de> for Raw {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(RawVisitor)
    }
}

fn tree(segment: &Segment<'_>, raw: Spanned<Raw>) -> Tree {
    let source = syntax::slice(segment, &raw.defined);
    let place = syntax::place(segment, &raw.referenced);
    let value = match raw.value {
        Raw::Map(entries) => Branch::Map(
            entries
                .into_iter()
                .map(|(key, value)| {
                    let place = syntax::place(segment, &key.referenced);
                    (
                        Key {
                            place,
                            text: key.value,
                        },
                        tree(segment, value),
                    )
                })
                .collect(),
        ),
        Raw::List(items) => Branch::List(items.into_iter().map(|i| tree(segment, i)).collect()),
        Raw::Text(text) => Branch::Scalar {
            text,
            quoted: source.starts_with(['"', '\'', '|', '>']),
        },
        Raw::Plain => Branch::Scalar {
            text: source.trim().to_owned(),
            quoted: false,
        },
        Raw::Null => Branch::Null,
    };
    // Of a map or a list only the beginning is marked.
    let place = match &value {
        Branch::Map(_) | Branch::List(_) | Branch::Null => Place { length: 1, ..place },
        Branch::Scalar { .. } => place,
    };
    Tree { place, value }
}
