//! The examples are right, and the large one uses every field.

use std::collections::BTreeSet;

use pressluft::core::document::{DocumentKind, schema};
use serde_json::Value;

use crate::repository::{check, files, lines, path};

#[test]
fn the_examples_have_no_problems() {
    for (name, documents) in [("quickstart", 5), ("agency", 46)] {
        let assembled = check(&path("examples").join(name));
        assert_eq!(lines(&assembled.diagnostics), "", "{name}");
        assert_eq!(assembled.documents, documents, "{name}");
    }
}

#[test]
fn the_agency_is_as_large_as_it_says() {
    let desired = check(&path("examples/agency")).desired.expect("no errors");
    let counts = (
        desired.nodes.len(),
        desired.sites.len(),
        desired.environments.len(),
    );
    assert_eq!(counts, (3, 12, 30));
}

#[test]
fn the_agency_uses_every_field() {
    let mut used = BTreeSet::new();
    for (_, bytes) in files(&path("examples/agency")) {
        let text = String::from_utf8(bytes).expect("the examples are text");
        let documents: Vec<Value> =
            serde_yaml::from_multiple(&text).expect("the examples are YAML");
        for document in documents {
            let kind = document["kind"]
                .as_str()
                .expect("a document has a kind")
                .to_owned();
            collect(&document, &kind, &mut used);
        }
    }
    let mut missing = Vec::new();
    for kind in DocumentKind::ALL {
        let schema = schema::of(*kind);
        for field in fields(schema, schema, kind.as_str()) {
            // A source has one place and one digest, so each has what the other one has not.
            const SOURCES: [&str; 3] = ["wordpress", "wp_cli", "object_cache"];
            let alike = SOURCES.iter().flat_map(|one| {
                let field = &field;
                SOURCES.iter().map(move |other| {
                    field.replace(&format!("sources.{one}."), &format!("sources.{other}."))
                })
            });
            let mut alike = alike.collect::<Vec<String>>().into_iter();
            if !alike.any(|one| used.contains(&one)) {
                missing.push(field);
            }
        }
    }
    assert_eq!(missing, Vec::<String>::new());
}

fn collect(value: &Value, path: &str, used: &mut BTreeSet<String>) {
    match value {
        Value::Object(map) => {
            for (name, value) in map {
                let inner = format!("{path}.{name}");
                collect(value, &inner, used);
                used.insert(inner);
            }
        }
        Value::Array(items) => items.iter().for_each(|item| collect(item, path, used)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

fn fields(root: &Value, block: &Value, path: &str) -> Vec<String> {
    let mut all = Vec::new();
    for (name, property) in block["properties"].as_object().into_iter().flatten() {
        let here = format!("{path}.{name}");
        let mut inner = resolve(root, property);
        if inner["type"] == "array" {
            inner = resolve(root, &inner["items"]);
        }
        // What can stand below `defaults` is used in the documents themselves.
        if path != "Fleet.defaults" {
            all.extend(fields(root, inner, &here));
        }
        all.push(here);
    }
    all
}

fn resolve<'a>(root: &'a Value, schema: &'a Value) -> &'a Value {
    let name = schema["$ref"]
        .as_str()
        .and_then(|reference| reference.rsplit('/').next());
    name.map_or(schema, |name| &root["$defs"][name])
}
