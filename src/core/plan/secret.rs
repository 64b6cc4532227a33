//! Secret references in specs: finding them, noticing that a value changed behind a reference,
//! and keeping both out of the output.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::core::change::{Change, SENSITIVE, leaves};
use crate::core::spec::Spec;

const PREFIX: &str = "secret:";

/// The names of the secrets that `value` refers to, in order.
#[must_use]
pub fn references(value: &Value) -> Vec<&str> {
    let mut names = Vec::new();
    collect(value, &mut names);
    names
}

fn collect<'a>(value: &'a Value, names: &mut Vec<&'a str>) {
    match value {
        Value::String(text) => names.extend(text.strip_prefix(PREFIX)),
        Value::Array(elements) => elements.iter().for_each(|element| collect(element, names)),
        Value::Object(map) => map.values().for_each(|element| collect(element, names)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// The keyed hash behind every leaf of `spec` that refers to secrets, by dotted path. A secret
/// that is not stored counts as `missing`, so that storing it is a change.
#[must_use]
pub fn fingerprints(spec: &Spec, known: &BTreeMap<String, String>) -> BTreeMap<String, String> {
    leaves(spec)
        .iter()
        .filter_map(|(path, value)| {
            let names = references(value);
            (!names.is_empty()).then(|| {
                let parts: Vec<&str> = names
                    .iter()
                    .map(|name| known.get(*name).map_or("missing", String::as_str))
                    .collect();
                (path.join("."), parts.join(","))
            })
        })
        .collect()
}

/// A change behind a reference that itself stayed the same.
#[must_use]
pub fn rotated(path: &str) -> Change {
    Change {
        path: path.to_owned(),
        before: Value::from(SENSITIVE),
        after: Value::from(SENSITIVE),
    }
}

/// The change with every reference hidden, except where one reference replaces another: then
/// the two names are what the reader needs.
#[must_use]
pub fn masked(change: Change) -> Change {
    let is_reference = |value: &Value| value.as_str().is_some_and(|text| text.starts_with(PREFIX));
    if is_reference(&change.before) && is_reference(&change.after) {
        return change;
    }
    Change {
        path: change.path,
        before: mask(change.before),
        after: mask(change.after),
    }
}

fn mask(value: Value) -> Value {
    match value {
        Value::String(text) if text.starts_with(PREFIX) => Value::from(SENSITIVE),
        Value::Array(elements) => Value::Array(elements.into_iter().map(mask).collect()),
        Value::Object(map) => Value::Object(
            map.into_iter()
                .map(|(key, value)| (key, mask(value)))
                .collect(),
        ),
        other => other,
    }
}
