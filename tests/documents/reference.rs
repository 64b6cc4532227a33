//! `docs/documents.md` lists every field of the schemas.

use std::fmt::Write as _;

use pressluft::core::document::{DocumentKind, schema};
use serde_json::Value;

use crate::repository::{compare, path};

const MARK: &str = "<!-- generated from the schemas below this line -->\n";

#[test]
fn the_field_reference_is_up_to_date() {
    let file = std::fs::read_to_string(path("docs/documents.md")).expect("the reference is there");
    let (head, _) = file.split_once(MARK).expect("the reference has its mark");
    let mut text = format!("{head}{MARK}");
    for kind in DocumentKind::ALL {
        let schema = schema::of(*kind);
        let about = schema["description"].as_str().unwrap_or_default();
        write!(text, "\n## {kind}\n\n{about}\n\n").expect("a string takes everything");
        text.push_str("| Field | Value | Default | What it is |\n|---|---|---|---|\n");
        rows(&mut text, schema, schema, "");
    }
    compare("docs/documents.md", &text);
}

fn rows(text: &mut String, root: &Value, block: &Value, path: &str) {
    let required: Vec<&str> = block["required"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    for (name, property) in block["properties"].as_object().into_iter().flatten() {
        let inner = resolve(root, property);
        let is_list = inner["type"] == "array";
        let item = if is_list {
            resolve(root, &inner["items"])
        } else {
            inner
        };
        let here = format!("{path}{name}{}", if is_list { "[]" } else { "" });
        let about = cell(property["description"].as_str().unwrap_or_default());
        let default = match (required.contains(&name.as_str()), property.get("default")) {
            (true, _) => "required".to_owned(),
            (false, Some(Value::String(default))) => format!("`{default}`"),
            (false, Some(default)) => format!("`{default}`"),
            (false, None) => String::new(),
        };
        writeln!(
            text,
            "| `{here}` | {} | {default} | {about} |",
            cell(&kind_of(item))
        )
        .expect("a string takes everything");
        // The defaults have the fields of the kinds, which are listed there.
        if item["properties"].is_object() && path != "defaults." {
            rows(text, root, item, &format!("{here}."));
        }
    }
}

fn resolve<'a>(root: &'a Value, schema: &'a Value) -> &'a Value {
    let name = schema["$ref"]
        .as_str()
        .and_then(|reference| reference.rsplit('/').next());
    name.map_or(schema, |name| &root["$defs"][name])
}

/// What may be written there, in a few words.
fn kind_of(schema: &Value) -> String {
    if let Some(alternatives) = schema["oneOf"].as_array() {
        let words = alternatives.iter().filter_map(|one| one["const"].as_str());
        return words
            .map(|word| format!("`{word}`"))
            .collect::<Vec<_>>()
            .join(", ");
    }
    if let Some(values) = schema["enum"].as_array() {
        let values = values.iter().map(|value| match value {
            Value::String(word) => format!("`{word}`"),
            other => format!("`{other}`"),
        });
        return values.collect::<Vec<_>>().join(", ");
    }
    if let Some(word) = schema["const"].as_str() {
        return format!("`{word}`");
    }
    let example = match &schema["examples"][0] {
        Value::Null => String::new(),
        Value::String(example) => format!(", such as `{example}`"),
        example => format!(", such as `{example}`"),
    };
    let kind = match (schema["type"].as_str(), schema["format"].as_str()) {
        (Some("object"), _) if schema["additionalProperties"].is_object() => {
            "map of names to values"
        }
        (Some("object"), _) => "map",
        (Some("boolean"), _) => "`true` or `false`",
        (Some("integer"), _) => "number",
        (_, Some(format)) => return format!("{}{example}", format.replace('-', " ")),
        (_, None) => "text",
    };
    format!("{kind}{example}")
}

fn cell(text: &str) -> String {
    text.replace('|', "\\|")
}
