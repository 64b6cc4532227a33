//! The JSON Schemas of the kinds, made from the types.

use std::sync::LazyLock;

use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, Schema};
use serde_json::{Map, Value, json};

use super::bounds::{BOUNDS, Bounds};
use super::{DocumentKind, EnvironmentDocument, FleetDocument, NodeDocument, SiteDocument};

static SCHEMAS: LazyLock<[Value; 4]> = LazyLock::new(|| {
    [
        generate::<FleetDocument>(DocumentKind::Fleet),
        generate::<NodeDocument>(DocumentKind::Node),
        generate::<SiteDocument>(DocumentKind::Site),
        generate::<EnvironmentDocument>(DocumentKind::Environment),
    ]
});

/// The schema of one kind (JSON Schema 2020-12).
#[must_use]
pub fn of(kind: DocumentKind) -> &'static Value {
    match kind {
        DocumentKind::Fleet => &SCHEMAS[0],
        DocumentKind::Node => &SCHEMAS[1],
        DocumentKind::Site => &SCHEMAS[2],
        DocumentKind::Environment => &SCHEMAS[3],
    }
}

/// The schema of any document: one of the kinds, chosen by `kind`.
#[must_use]
pub fn of_any() -> Value {
    let mut definitions = Map::new();
    let mut kinds = Vec::new();
    for kind in DocumentKind::ALL {
        let Value::Object(mut schema) = of(*kind).clone() else {
            continue;
        };
        if let Some(Value::Object(inner)) = schema.remove("$defs") {
            definitions.extend(inner);
        }
        schema.remove("$schema");
        definitions.insert(kind.as_str().to_owned(), Value::Object(schema));
        kinds.push(json!({ "$ref": format!("#/$defs/{kind}") }));
    }
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Pressluft document",
        "description": "A document of a fleet repo; `kind` says which.",
        "oneOf": kinds,
        "$defs": definitions,
    })
}

/// A schema as the text of a file.
#[must_use]
pub fn text(schema: &Value) -> String {
    format!("{schema:#}\n")
}

fn generate<T: JsonSchema>(kind: DocumentKind) -> Value {
    let generator = SchemaSettings::draft2020_12().into_generator();
    let mut schema: Schema = generator.into_root_schema_for::<T>();
    schema.insert("title".to_owned(), json!(kind.as_str()));
    let mut value = schema.to_value();
    tidy(&mut value);
    if let Some(Value::Object(definitions)) = value.get_mut("$defs") {
        for definition in definitions.values_mut() {
            title_fields(definition);
        }
    }
    title_fields(&mut value);
    for bounds in &BOUNDS {
        let below = match (kind, bounds.kind) {
            (DocumentKind::Fleet, DocumentKind::Node) => "defaults.node.",
            (DocumentKind::Fleet, DocumentKind::Environment) => "defaults.environment.",
            (kind, of) if kind == of => "",
            _ => continue,
        };
        let path = format!("{below}{}", bounds.field);
        bound(&mut value, &path, bounds);
    }
    value
}

/// Says in the schema of a field between which values it makes sense. JSON Schema knows bounds of numbers alone, so these
/// are words for people and for those who look for them.
fn bound(root: &mut Value, path: &str, bounds: &Bounds) {
    let mut at = String::new();
    for part in path.split('.') {
        let inner = root.pointer(&at).and_then(|schema| schema["$ref"].as_str());
        if let Some(name) = inner.and_then(|reference| reference.strip_prefix("#/$defs/")) {
            at = format!("/$defs/{name}");
        }
        at = format!("{at}/properties/{part}");
    }
    let Some(Value::Object(field)) = root.pointer_mut(&at) else {
        return;
    };
    // Blocks that several fields have stand there once.
    if field.contains_key("x-minimum") {
        return;
    }
    field.insert("x-minimum".to_owned(), json!(bounds.least()));
    field.insert("x-maximum".to_owned(), json!(bounds.most()));
    if let Some(Value::String(text)) = field.get_mut("description") {
        text.push_str(&format!(" It is {}.", bounds.words()));
    }
}

/// Takes out what comes from the Rust types and says nothing about documents: that a field
/// which may be left out may be `null`, and the sizes of numbers.
fn tidy(value: &mut Value) {
    match value {
        Value::Object(map) => {
            remove_null(map);
            let format = map
                .get("format")
                .and_then(Value::as_str)
                .unwrap_or_default();
            if format.starts_with("uint") || format.starts_with("int") {
                map.remove("format");
            }
            if map.get("default").is_some_and(Value::is_null) {
                map.remove("default");
            }
            if let Some(Value::String(text)) = map.get_mut("description") {
                *text = text.split_whitespace().collect::<Vec<_>>().join(" ");
            }
            map.values_mut().for_each(tidy);
        }
        Value::Array(items) => items.iter_mut().for_each(tidy),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

fn remove_null(map: &mut Map<String, Value>) {
    if let Some(Value::Array(types)) = map.get_mut("type") {
        types.retain(|name| name != "null");
        if let [only] = types.as_slice() {
            let only = only.clone();
            map.insert("type".to_owned(), only);
        }
    }
    if let Some(Value::Array(alternatives)) = map.get_mut("anyOf") {
        alternatives.retain(|alternative| alternative.get("type") != Some(&json!("null")));
        if let [Value::Object(only)] = alternatives.as_slice() {
            let only = only.clone();
            map.remove("anyOf");
            for (key, value) in only {
                map.entry(key).or_insert(value);
            }
        }
    }
}

/// Gives every field its name as a title, which editors show above the description.
fn title_fields(schema: &mut Value) {
    let Some(Value::Object(properties)) = schema.get_mut("properties") else {
        return;
    };
    for (name, property) in properties {
        if let Value::Object(property) = property {
            property.entry("title").or_insert_with(|| json!(name));
        }
    }
}

/// The paths of the fields of a kind that hold values, without those that only say what the document is and how it came to
/// be (`kind`, `moved`) and without `defaults`. A list, or a map of the operator's own names, is one of them.
#[must_use]
pub fn leaves(kind: DocumentKind) -> Vec<Vec<String>> {
    let root = of(kind);
    let mut found = Vec::new();
    collect(root, root, &mut Vec::new(), &mut found);
    found.retain(|path| {
        let first = path.first().map(String::as_str);
        !matches!(first, Some("kind" | "moved" | "defaults"))
    });
    found
}

fn collect(root: &Value, block: &Value, path: &mut Vec<String>, found: &mut Vec<Vec<String>>) {
    for (name, property) in block["properties"].as_object().into_iter().flatten() {
        let reference = property["$ref"].as_str();
        let inner = reference.and_then(|reference| reference.rsplit('/').next());
        let inner = inner.map_or(property, |name| &root["$defs"][name]);
        path.push(name.clone());
        match inner["properties"].is_object() && inner["type"] != "array" {
            true => collect(root, inner, path, found),
            false => found.push(path.clone()),
        }
        path.pop();
    }
}
