//! The schemas in the repository are those of the types.

use pressluft::core::document::{DocumentKind, schema};
use serde_json::Value;

use crate::repository::compare;

#[test]
fn the_schemas_are_up_to_date() {
    for kind in DocumentKind::ALL {
        let name = kind.as_str().to_lowercase();
        compare(
            &format!("schemas/{name}.schema.json"),
            &schema::text(schema::of(*kind)),
        );
    }
    compare(
        "schemas/document.schema.json",
        &schema::text(&schema::of_any()),
    );
}

#[test]
fn every_field_is_explained() {
    for kind in DocumentKind::ALL {
        let schema = schema::of(*kind);
        let definitions = schema["$defs"]
            .as_object()
            .into_iter()
            .flat_map(|all| all.iter());
        for (name, block) in definitions.chain([(&kind.as_str().to_owned(), schema)]) {
            for (field, property) in block["properties"].as_object().into_iter().flatten() {
                let description = property["description"].as_str().unwrap_or_default();
                assert!(
                    description.ends_with('.'),
                    "{name}.{field}: {description:?}"
                );
                assert!(property["title"].is_string(), "{name}.{field} has no title");
            }
        }
    }
}

#[test]
fn nothing_in_a_schema_may_be_null() {
    for kind in DocumentKind::ALL {
        without_null(schema::of(*kind));
    }
}

fn without_null(value: &Value) {
    match value {
        Value::Object(map) => {
            assert_ne!(map.get("type"), Some(&Value::from("null")));
            map.values().for_each(without_null);
        }
        Value::Array(items) => items.iter().for_each(without_null),
        Value::Null => panic!("a schema holds null"),
        Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}
