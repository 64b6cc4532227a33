//! What the schemas tell editors of numbers and quantities is what the rules take, and the other way round.

use serde_json::Value;

use super::*;
use crate::core::document::bounds::BOUNDS;
use crate::core::document::{DocumentKind, schema};

/// A field with bounds: its path, and what is just outside and just inside of them.
struct Field {
    path: Vec<String>,
    outside: Vec<String>,
    inside: Vec<String>,
}

/// Every field of a schema that has bounds in words or in numbers.
fn bounded(root: &Value, block: &Value, path: &mut Vec<String>, found: &mut Vec<Field>) {
    for (name, property) in block["properties"].as_object().into_iter().flatten() {
        let reference = property["$ref"].as_str();
        let inner = reference.and_then(|reference| reference.rsplit('/').next());
        let inner = inner.map_or(property, |name| &root["$defs"][name]);
        path.push(name.clone());
        let text = |bound: &str| property[format!("x-{bound}")].as_str().map(str::to_owned);
        let number = |name: &str| inner[name].as_i64();
        if let (Some(least), Some(most)) = (text("minimum"), text("maximum")) {
            found.push(Field {
                path: path.clone(),
                // One unit less than the smallest, one more than the largest.
                outside: vec![beside(&least, -1), beside(&most, 1)],
                inside: vec![least, most],
            });
        } else if let (Some(least), Some(most)) = (number("minimum"), number("maximum")) {
            found.push(Field {
                path: path.clone(),
                outside: vec![
                    (least - 1).to_string(),
                    (most + 1).to_string(),
                    i64::MAX.to_string(),
                ],
                inside: vec![least.to_string(), most.to_string()],
            });
        } else if inner["type"] == "integer" {
            assert!(inner["enum"].is_array(), "{path:?} has no bounds");
        } else if inner["properties"].is_object() {
            bounded(root, inner, path, found);
        }
        path.pop();
    }
}

/// A quantity that is the smallest step away from another one.
fn beside(quantity: &str, step: i64) -> String {
    if let Ok(time) = quantity.parse::<crate::core::document::scalar::Duration>() {
        return format!("{}s", time.as_secs().saturating_add_signed(step));
    }
    let size: crate::core::document::scalar::ByteSize = quantity.parse().expect("a size");
    format!("{}B", size.as_bytes().saturating_add_signed(step))
}

/// [`BASE`] with one field of one of its documents.
fn with(kind: DocumentKind, path: &[String], value: &str) -> Vec<String> {
    let mut field = value.to_owned();
    for (depth, name) in path.iter().enumerate().rev() {
        field = match depth {
            0 => format!("{name}: {field}\n"),
            _ => format!("{{{name}: {field}}}"),
        };
    }
    let text = match kind {
        DocumentKind::Fleet => BASE.replace("name: fleet\n", &format!("name: fleet\n{field}")),
        DocumentKind::Node => BASE.replace("name: web-2\n", &format!("name: web-2\n{field}")),
        DocumentKind::Site => BASE.replace("name: acme\n", &format!("name: acme\n{field}")),
        DocumentKind::Environment => format!("{BASE}{field}"),
    };
    places(&assembled(&[(FLEET_FILE, &text)]))
}

#[test]
fn schemas_and_rules_have_the_same_bounds() {
    let mut seen = 0;
    for kind in DocumentKind::ALL {
        let root = schema::of(*kind);
        let mut fields = Vec::new();
        bounded(root, root, &mut Vec::new(), &mut fields);
        // The version of the fleet has one value, and stands there already.
        fields.retain(|field| field.path != ["version"]);
        for field in &fields {
            let is_refused = |value: &String| {
                let found = with(*kind, &field.path, value);
                let refused = |line: &String| {
                    ["out-of-range", "invalid-value"]
                        .iter()
                        .any(|code| line.ends_with(code))
                };
                found.iter().any(refused)
            };
            // Nothing is less than nothing.
            let outside = field
                .outside
                .iter()
                .filter(|value| !field.inside.contains(value));
            for value in outside {
                assert!(is_refused(value), "{kind} {:?}: {value}", field.path);
            }
            for value in &field.inside {
                assert!(!is_refused(value), "{kind} {:?}: {value}", field.path);
            }
        }
        seen += fields.len();
        // Each entry of the table is in the schema of its kind.
        for bounds in BOUNDS.iter().filter(|bounds| bounds.kind == *kind) {
            let path: Vec<&str> = bounds.field.split('.').collect();
            assert!(
                fields.iter().any(|field| field.path == path),
                "{}",
                bounds.field
            );
        }
    }
    assert!(seen >= 40, "{seen}");
}

#[test]
fn quantities_of_the_fleet_have_bounds_too() {
    for (text, is_right) in [
        ("reconcile: {interval: 0s}\n", false),
        ("reconcile: {interval: 1s}\n", true),
        ("reconcile: {interval: 2d}\n", false),
        ("reconcile: {max_destroy: {count: 1001}}\n", false),
        ("rollout: {canary: 4294967296}\n", false),
        ("rollout: {max_failures: -1}\n", false),
        ("rollout: {batch: 10001}\n", false),
        ("rollout: {soak: 0s}\n", true),
        ("rollout: {soak: 8d}\n", false),
    ] {
        let text_of_fleet = BASE.replace("name: fleet\n", &format!("name: fleet\n{text}"));
        let found = assembled(&[(FLEET_FILE, &text_of_fleet)]).diagnostics;
        assert_eq!(found.is_empty(), is_right, "{text}: {found:?}");
        for diagnostic in found {
            let words = ["u16", "u32", "i64", "integer", "expected"];
            let is_ours = !words.iter().any(|word| diagnostic.message.contains(word));
            assert!(is_ours, "{}", diagnostic.message);
        }
    }
}
