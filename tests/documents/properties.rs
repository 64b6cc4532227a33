//! What holds for any document.

use pressluft::core::document::{Document, parse_bytes, parse_file};
use proptest::prelude::*;
use serde_json::{Map, Value};

use crate::repository::{check_files, files, path};

const DESIGN: &str = include_str!("../data/design.yaml");

/// All documents of the large example as values.
fn documents() -> Vec<Value> {
    let texts = files(&path("examples/agency"))
        .into_iter()
        .map(|(_, bytes)| bytes);
    texts
        .flat_map(|bytes| {
            let text = String::from_utf8(bytes).expect("the examples are text");
            serde_yaml::from_multiple::<Value>(&text).expect("the examples are YAML")
        })
        .collect()
}

/// A document of the example with some of its optional fields left out.
fn partial() -> impl Strategy<Value = Value> {
    let all = documents();
    (0..all.len(), proptest::collection::vec(any::<bool>(), 64)).prop_map(move |(index, keep)| {
        let Value::Object(map) = all[index].clone() else {
            panic!("a document is a map")
        };
        let needed = ["kind", "version", "name", "host", "site", "type"];
        let mut keep = keep.into_iter().cycle();
        let rest = map
            .into_iter()
            .filter(|(name, _)| needed.contains(&name.as_str()) || keep.next() == Some(true));
        Value::Object(rest.collect())
    })
}

/// JSON, which is YAML, with the keys of all maps turned by `turn`.
fn turned(value: &Value, turn: usize) -> String {
    match value {
        Value::Object(map) => {
            let mut entries: Vec<String> = map
                .iter()
                .map(|(key, value)| {
                    format!("{}: {}", Value::from(key.as_str()), turned(value, turn))
                })
                .collect();
            let by = turn.checked_rem(entries.len()).unwrap_or(0);
            entries.rotate_left(by);
            format!("{{{}}}", entries.join(",\n  "))
        }
        Value::Array(items) => {
            let items: Vec<String> = items.iter().map(|item| turned(item, turn)).collect();
            format!("[{}]", items.join(", "))
        }
        other => other.to_string(),
    }
}

fn yaml(document: &Document) -> String {
    let text = match document {
        Document::Fleet(fleet) => serde_yaml::to_string(fleet),
        Document::Node(node) => serde_yaml::to_string(node),
        Document::Site(site) => serde_yaml::to_string(site),
        Document::Environment(environment) => serde_yaml::to_string(environment),
    };
    text.expect("a document can be written")
}

fn read(text: &str) -> Document {
    let mut parsed = parse_file("a.yaml", text);
    assert_eq!(parsed.diagnostics, [], "{text}");
    parsed.documents.remove(0).document
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn what_is_written_reads_back(value in partial()) {
        let document = read(&value.to_string());
        prop_assert_eq!(read(&yaml(&document)), document);
    }

    #[test]
    fn any_title_survives(title in "[^\\p{C}\\p{Zl}\\p{Zp}\u{61c}\u{180e}\u{115f}\u{1160}\u{3164}\u{ffa0}]{1,80}") {
        prop_assume!(!title.trim().is_empty());
        let mut map = Map::new();
        for (name, text) in [("kind", "Site"), ("name", "acme"), ("title", title.as_str())] {
            map.insert(name.to_owned(), Value::from(text));
        }
        let document = read(&Value::Object(map).to_string());
        let Document::Site(site) = &document else { panic!("it is a site") };
        prop_assert_eq!(site.title.as_ref().map(AsRef::as_ref), Some(title.as_str()));
        prop_assert_eq!(read(&yaml(&document)), document);
    }

    #[test]
    fn arbitrary_bytes_do_not_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        drop(parse_bytes("a.yaml", &bytes));
    }

    #[test]
    fn a_damaged_file_never_panics_and_never_loses_a_document_silently(
        at in 0..DESIGN.len(), length in 0..40usize, insert in "[\\-:{}\\[\\]&*!|>'\"%@` \nа\t#a-c0-9]{0,12}",
    ) {
        let mut bytes = DESIGN.as_bytes().to_vec();
        let end = (at + length).min(bytes.len());
        bytes.splice(at..end, insert.bytes());
        let parsed = parse_bytes("pressluft.yaml", &bytes);
        let lost = parsed.salvaged.len() + parsed.broken.len();
        prop_assert!(lost == 0 || !parsed.diagnostics.is_empty());
        let files = [("pressluft.yaml".to_owned(), bytes)];
        let assembled = check_files(&files);
        prop_assert!(assembled.desired.is_some() || !assembled.diagnostics.is_empty());
    }
}

#[test]
fn key_order_and_spelling_do_not_matter() {
    let all = documents();
    let specs = |turn: usize| {
        let texts: Vec<String> = all.iter().map(|document| turned(document, turn)).collect();
        let text = texts
            .join("\n---\n")
            .replace("\"1m\"", "60s")
            .replace("\"2GiB\"", "2048MiB")
            // All of them are in one file here.
            .replace("\"by_path\": true", "\"by_path\": false");
        let files = [("pressluft.yaml".to_owned(), text.into_bytes())];
        let assembled = check_files(&files);
        assert_eq!(assembled.diagnostics, []);
        let desired = assembled.desired.expect("no errors");
        let mut specs = vec![desired.fleet.spec().canonical()];
        specs.extend(desired.nodes.values().map(|node| node.spec().canonical()));
        specs.extend(desired.sites.values().map(|site| site.spec().canonical()));
        specs.extend(
            desired
                .environments
                .values()
                .map(|env| env.spec().canonical()),
        );
        specs
    };
    let first = specs(0);
    for turn in 1..8 {
        assert_eq!(specs(turn), first);
    }
    assert_eq!(first.len(), 46);
}

#[test]
fn a_recorded_spec_reads_back_as_the_value_that_it_stands_for() {
    use pressluft::core::desired::HasSpec;
    use pressluft::core::document::{Environment, Fleet, Node, Site};
    let assembled = check_files(&files(&path("examples/agency")));
    let desired = assembled.desired.expect("no errors");
    assert_eq!(desired.fleet.hash(), desired.fleet.spec().hash());
    let fleet = Fleet::from_spec(&desired.fleet.spec()).expect("it reads back");
    assert_eq!(fleet.spec(), desired.fleet.spec());
    for node in desired.nodes.values() {
        assert_eq!(node.hash(), node.spec().hash());
        assert_eq!(
            Node::from_spec(&node.spec()).expect("it reads back").spec(),
            node.spec()
        );
    }
    for site in desired.sites.values() {
        assert_eq!(site.hash(), site.spec().hash());
        assert_eq!(
            Site::from_spec(&site.spec()).expect("it reads back").spec(),
            site.spec()
        );
    }
    for environment in desired.environments.values() {
        assert_eq!(environment.hash(), environment.spec().hash());
        let back = Environment::from_spec(&environment.spec()).expect("it reads back");
        assert_eq!(back.spec(), environment.spec());
    }
}
