//! Secrets in every field of every schema: one that is not the document's own is refused wherever
//! it stands, and one that is its own wherever none is looked up.

use std::collections::BTreeSet;

use pressluft::core::diagnostic::Diagnostic;
use pressluft::core::document::{DocumentKind, schema};
use serde_json::{Map, Value, json};

use crate::repository::{check_files, path};

/// The fields that take a secret. A field that is not here must not take one.
const TAKEN: [&str; 16] = [
    "Fleet.backups.credentials",
    "Fleet.backups.password",
    "Fleet.defaults.environment.constants.*",
    "Fleet.defaults.environment.http.basic_auth.password",
    "Fleet.defaults.environment.options.*",
    "Fleet.defaults.environment.php.ini.*",
    "Fleet.defaults.environment.safety.basic_auth",
    "Fleet.defaults.node.ssh.key",
    "Fleet.notify[].webhook",
    "Fleet.preview.dns01.credentials",
    "Node.ssh.key",
    "Environment.constants.*",
    "Environment.http.basic_auth.password",
    "Environment.options.*",
    "Environment.php.ini.*",
    "Environment.safety.basic_auth",
];

/// What may not be used: of another site, of another node, of the fleet, of the control plane, and
/// a name that is not whole.
const FOREIGN: [&str; 5] = [
    "secret:sites/bakery/stripe",
    "secret:nodes/web-9/ssh",
    "secret:mail/relay",
    "secret:control/git/token",
    "secret:sites/acme",
];

/// One step to a leaf of a schema.
#[derive(Clone, Debug, PartialEq)]
enum At {
    Field(String),
    /// Any key of a map, for which an example stands.
    Entry(String),
    Item,
}

fn resolve<'a>(root: &'a Value, schema: &'a Value) -> &'a Value {
    let name = schema["$ref"]
        .as_str()
        .and_then(|reference| reference.rsplit('/').next());
    name.map_or(schema, |name| &root["$defs"][name])
}

/// The paths of all leaves that a text can be written to.
fn leaves(root: &Value, schema: &Value, at: &mut Vec<At>, found: &mut Vec<Vec<At>>) {
    let schema = resolve(root, schema);
    let is = |name: &str| match &schema["type"] {
        Value::Array(types) => types.iter().any(|found| found == name),
        found => found == name,
    };
    for (name, field) in schema["properties"].as_object().into_iter().flatten() {
        at.push(At::Field(name.clone()));
        leaves(root, field, at, found);
        at.pop();
    }
    if schema["additionalProperties"].is_object() {
        let names = &schema["propertyNames"];
        let key = names["examples"][0].as_str().expect("keys have an example");
        at.push(At::Entry(key.to_owned()));
        leaves(root, &schema["additionalProperties"], at, found);
        at.pop();
    }
    if schema["items"].is_object() {
        at.push(At::Item);
        leaves(root, &schema["items"], at, found);
        at.pop();
    }
    if is("string") || schema["oneOf"].is_array() {
        found.push(at.clone());
    }
}

/// A value with all that a schema requires.
fn smallest(root: &Value, schema: &Value) -> Value {
    let schema = resolve(root, schema);
    if let Some(required) = schema["required"].as_array() {
        let fields = required.iter().filter_map(Value::as_str);
        let map: Map<String, Value> = fields
            .map(|name| {
                let field = smallest(root, &schema["properties"][name]);
                (name.to_owned(), field)
            })
            .collect();
        return Value::Object(map);
    }
    if schema["type"] == "object" {
        return json!({});
    }
    if schema["items"].is_object() {
        return json!([smallest(root, &schema["items"])]);
    }
    let first = [
        &schema["const"],
        &schema["oneOf"][0]["const"],
        &schema["enum"][0],
        &schema["examples"][0],
    ];
    let first = first.into_iter().find(|value| !value.is_null());
    first.cloned().unwrap_or(json!(1))
}

/// Puts `text` at a path of a document, with all that is required on the way to it.
fn put(root: &Value, schema: &Value, target: &mut Value, at: &[At], text: &str) {
    let schema = resolve(root, schema);
    match at {
        [] => *target = json!(text),
        [At::Item, rest @ ..] => {
            let mut item = smallest(root, &schema["items"]);
            put(root, &schema["items"], &mut item, rest, text);
            *target = json!([item]);
        }
        [At::Field(name), rest @ ..] => {
            let field = &schema["properties"][name];
            if target[name].is_null() {
                target[name] = smallest(root, field);
            }
            put(root, field, &mut target[name], rest, text);
        }
        [At::Entry(name), rest @ ..] => {
            let inner = &schema["additionalProperties"];
            put(root, inner, &mut target[name], rest, text);
        }
    }
}

fn shown(kind: DocumentKind, at: &[At]) -> String {
    let mut text = kind.to_string();
    for step in at {
        match step {
            At::Field(name) => text.push_str(&format!(".{name}")),
            At::Entry(_) => text.push_str(".*"),
            At::Item => text.push_str("[]"),
        }
    }
    text
}

/// The small fleet that a document is put into.
fn base(kind: DocumentKind) -> Value {
    match kind {
        DocumentKind::Fleet => json!({"kind": "Fleet", "version": 1, "name": "studio"}),
        DocumentKind::Node => json!({"kind": "Node", "name": "web-1", "host": "203.0.113.1"}),
        DocumentKind::Site => json!({"kind": "Site", "name": "acme", "node": "web-1",
            "admin": {"email": "owner@acme.example"}}),
        DocumentKind::Environment => json!({"kind": "Environment", "site": "acme",
            "name": "production", "type": "production"}),
    }
}

/// What is wrong with the small fleet after `text` was put at a path of a document of `kind`, and
/// `grants` into the fleet.
fn found(kind: DocumentKind, at: &[At], text: &str, grants: &Value) -> Vec<Diagnostic> {
    let root = schema::of(kind);
    let documents = DocumentKind::ALL.iter().map(|other| {
        let mut document = base(*other);
        if *other == DocumentKind::Fleet && !grants.is_null() {
            document["secrets"] = json!({ "grants": grants });
        }
        if *other == kind {
            put(root, root, &mut document, at, text);
        }
        document.to_string()
    });
    let text = documents.collect::<Vec<_>>().join("\n---\n");
    check_files(&[("pressluft.yaml".to_owned(), text.into_bytes())]).diagnostics
}

/// Whether one of the diagnostics is about a secret, or about the form of this value.
fn is_refused(diagnostics: &[Diagnostic], at: &[At]) -> bool {
    let last = at.iter().rev().find_map(|step| match step {
        At::Field(name) | At::Entry(name) => Some(name.as_str()),
        At::Item => None,
    });
    let last = last.unwrap_or_default();
    diagnostics.iter().any(|found| match found.code {
        "secret-not-owned" | "misplaced-secret" | "reserved-secret" => true,
        "invalid-value" | "unknown-value" | "unknown-kind" => found.message.contains(last),
        _ => false,
    })
}

fn all() -> impl Iterator<Item = (DocumentKind, Vec<At>)> {
    DocumentKind::ALL.iter().flat_map(|kind| {
        let root = schema::of(*kind);
        let mut paths = Vec::new();
        leaves(root, root, &mut Vec::new(), &mut paths);
        paths.into_iter().map(|path| (*kind, path))
    })
}

#[test]
fn a_secret_of_somebody_else_is_refused_in_every_field() {
    let mut open = Vec::new();
    let mut count = 0;
    for (kind, at) in all() {
        for foreign in FOREIGN {
            // The fleet's own are the fleet's to use.
            let is_of_fleet = kind == DocumentKind::Fleet
                && foreign == "secret:mail/relay"
                && at.first() != Some(&At::Field("defaults".to_owned()));
            count += 1;
            let diagnostics = found(kind, &at, foreign, &Value::Null);
            let is_taken = TAKEN.contains(&shown(kind, &at).as_str());
            let is_right = is_of_fleet && is_taken;
            if !is_right && !is_refused(&diagnostics, &at) {
                open.push(format!("{}: {foreign}", shown(kind, &at)));
            }
        }
    }
    assert_eq!(open, [""; 0]);
    assert!(count > 1000, "only {count} were tried");
}

#[test]
fn a_secret_of_its_own_is_taken_in_these_fields_alone() {
    let mut taken = BTreeSet::new();
    for (kind, at) in all() {
        let own = match kind {
            DocumentKind::Fleet => "secret:mail/relay",
            DocumentKind::Node => "secret:nodes/web-1/ssh",
            DocumentKind::Site | DocumentKind::Environment => "secret:sites/acme/stripe",
        };
        // What is laid under all sites or all nodes is granted to them.
        let grants = json!([{"secret": "mail/relay", "to": ["sites", "nodes"]}]);
        if !is_refused(&found(kind, &at, own, &grants), &at) {
            taken.insert(shown(kind, &at));
        }
    }
    let expected: BTreeSet<String> = TAKEN.iter().map(|field| (*field).to_owned()).collect();
    assert_eq!(taken, expected);
}

#[test]
fn the_fields_that_take_a_secret_are_listed() {
    let text = std::fs::read_to_string(path("docs/secrets.md")).expect("it is there");
    let missing: Vec<&str> = TAKEN
        .into_iter()
        .filter_map(|field| field.split_once('.').map(|(_, field)| field))
        .filter(|field| !field.starts_with("defaults."))
        .filter(|field| !text.contains(&format!("`{field}`")))
        .collect();
    assert_eq!(missing, [""; 0]);
}

#[test]
fn no_key_of_a_map_is_a_secret() {
    for (kind, at) in all() {
        let Some(place) = at.iter().position(|step| matches!(step, At::Entry(_))) else {
            continue;
        };
        let mut at = at.clone();
        at[place] = At::Entry("secret:sites/bakery/stripe".to_owned());
        let diagnostics = found(kind, &at, "x", &Value::Null);
        assert!(!diagnostics.is_empty(), "{}", shown(kind, &at));
    }
}
