//! The words in which schemas, values and choices are spoken of.

use serde_json::Value;

use crate::core::document::read::tree::Branch;

/// The types that a schema allows.
pub(super) fn types(schema: &Value) -> Vec<&str> {
    match schema.get("type") {
        Some(Value::String(name)) => vec![name.as_str()],
        Some(Value::Array(names)) => names.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    }
}

pub(super) fn found(value: &Branch) -> &'static str {
    match value {
        Branch::Map(_) => "a map",
        Branch::List(_) => "a list",
        Branch::Scalar { .. } => "a single value",
        Branch::Null => "nothing",
    }
}

pub(super) fn expected(schema: &Value, types: &[&str]) -> String {
    match types.first() {
        Some(&"object") => "a map of fields".to_owned(),
        Some(&"array") => "a list".to_owned(),
        Some(&"boolean") => "`true` or `false`".to_owned(),
        Some(&"integer") => "a whole number".to_owned(),
        _ => match example(schema) {
            Some(example) => format!("a value such as `{example}`"),
            None => "a single value".to_owned(),
        },
    }
}

/// How a value of these types is written.
pub(super) fn how_to_write(schema: &Value, types: &[&str]) -> String {
    match (example(schema), types.first()) {
        (Some(example), _) => format!("for example `{example}`"),
        (None, Some(&"object")) => {
            "write its fields indented below it, or as `{FIELD: VALUE}`".to_owned()
        }
        (None, Some(&"array")) => {
            "write its items below it, each after `- `, or as `[ITEM, ITEM]`".to_owned()
        }
        (None, _) => "write a single value".to_owned(),
    }
}

/// The first example of a schema.
pub(super) fn example(schema: &Value) -> Option<String> {
    match schema.get("examples")?.as_array()?.first()? {
        Value::String(text) => Some(text.clone()),
        other => Some(other.to_string()),
    }
}

pub(super) fn one_of(words: &[&str]) -> String {
    match words {
        [only] => format!("`{only}`"),
        words => format!("one of {}", all_of(words)),
    }
}

pub(super) fn all_of(words: &[&str]) -> String {
    let words: Vec<String> = words.iter().map(|word| format!("`{word}`")).collect();
    words.join(", ")
}

/// The path of a field, with names of any length cut to what can be read.
pub(super) fn child(path: &str, name: &str) -> String {
    let visible = |c: char| if c.is_control() { '\u{fffd}' } else { c };
    let name: String = name.chars().take(60).map(visible).collect();
    if path.is_empty() {
        name
    } else {
        format!("{path}.{name}")
    }
}
