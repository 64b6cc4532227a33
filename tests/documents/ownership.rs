//! The code owners of the documentation hold: what the owners of a path can write there reaches no
//! further than what is theirs.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::repository::{check_files, path};

/// The blocks of code owners in the documentation.
fn blocks() -> Vec<String> {
    let mut blocks = Vec::new();
    for file in ["docs/fleet-repo.md", "docs/security.md"] {
        let text = std::fs::read_to_string(path(file)).unwrap_or_default();
        let rest = text.split("```codeowners\n").skip(1);
        blocks.extend(rest.filter_map(|rest| Some(rest.split_once("```")?.0.to_owned())));
    }
    blocks
}

/// Who owns a path: the last line that fits counts.
fn owner<'a>(block: &'a str, path: &str) -> &'a str {
    let lines = block.lines().filter(|line| !line.starts_with('#'));
    let mut fitting = lines.filter_map(|line| {
        let (pattern, owner) = line.split_once(' ')?;
        let is_fitting = match pattern.strip_prefix('/') {
            None => pattern == "*",
            Some(place) if place.ends_with('/') => path.starts_with(place),
            Some(place) => path == place,
        };
        is_fitting.then(|| owner.trim())
    });
    fitting.next_back().unwrap_or_default()
}

/// Where documents, or what passes for them, can be written.
const PLACES: [&str; 16] = [
    "pressluft.yaml",
    "nodes.yaml",
    "nodes/web-1.yaml",
    "nodes/deep/web-1.yml",
    "nodes2.yaml",
    "sites/acme.yaml",
    "sites/acme.yml",
    "sites/acme/site.yaml",
    "sites/acme/nodes/web-1.yaml",
    "sites/acme-2.yaml",
    "sites/bakery.yaml",
    "sites/bakery/sites/acme.yaml",
    "sites/all.yaml",
    "secrets/sites/acme/x.yaml",
    "secrets/nodes/web-1/x.yaml",
    "other.yaml",
];

/// A fleet in which everything stands in its place, without the documents that are tried.
fn fleet() -> Vec<(&'static str, Value)> {
    let site = |name: &str| {
        json!({"kind": "Site", "name": name, "node": "web-1",
               "admin": {"email": "owner@acme.example"}})
    };
    let production = |site: &str| json!({"kind": "Environment", "site": site, "name": "production", "type": "production"});
    vec![
        (
            "pressluft.yaml",
            json!({"kind": "Fleet", "version": 1, "name": "studio", "ownership": {"by_path": true}}),
        ),
        (
            "nodes/base.yaml",
            json!({"kind": "Node", "name": "web-1", "host": "203.0.113.1"}),
        ),
        ("sites/acme/base.yaml", site("acme")),
        ("sites/acme/base.yaml", production("acme")),
        ("sites/bakery/base.yaml", site("bakery")),
        ("sites/bakery/base.yaml", production("bakery")),
    ]
}

/// Whether the fleet is right with one more document in a place.
fn is_right(place: &str, document: &Value) -> bool {
    let mut all = fleet();
    all.push((place, document.clone()));
    let places: BTreeSet<&str> = all.iter().map(|(place, _)| *place).collect();
    let files: Vec<(String, Vec<u8>)> = places
        .into_iter()
        .map(|place| {
            let documents = all.iter().filter(|(at, _)| *at == place);
            let texts: Vec<String> = documents.map(|(_, text)| text.to_string()).collect();
            (place.to_owned(), texts.join("\n---\n").into_bytes())
        })
        .collect();
    check_files(&files).diagnostics.is_empty()
}

/// A document of each kind that could be added, with who keeps such.
fn documents() -> Vec<(&'static str, Value)> {
    let staging = |site: &str| {
        json!({"kind": "Environment", "site": site, "name": "staging", "type": "staging",
               "from": "production"})
    };
    vec![
        (
            "@studio/ops",
            json!({"kind": "Fleet", "version": 1, "name": "mine", "ownership": {"by_path": false}}),
        ),
        (
            "@studio/servers",
            json!({"kind": "Node", "name": "web-2", "host": "203.0.113.2"}),
        ),
        ("@studio/acme", staging("acme")),
        ("@studio/ops", staging("bakery")),
        (
            "@studio/ops",
            json!({"kind": "Environment", "site": "bakery", "name": "copy", "type": "clone",
                   "from": "production", "constants": {"A": "secret:sites/bakery/stripe"}}),
        ),
    ]
}

#[test]
fn every_path_has_the_owner_that_is_written_down() {
    let blocks = blocks();
    assert!(!blocks.is_empty(), "no block of code owners was found");
    for block in blocks {
        for (path, expected) in [
            ("pressluft.yaml", "@studio/ops"),
            (".github/CODEOWNERS", "@studio/ops"),
            (".pressluftignore", "@studio/ops"),
            ("templates/nginx/site.conf", "@studio/ops"),
            ("hooks/after.yml", "@studio/ops"),
            ("secrets/mail/relay.age", "@studio/ops"),
            ("secrets/sites/bakery/stripe.age", "@studio/ops"),
            ("secrets/sites/acme.age", "@studio/ops"),
            ("sites/bakery.yaml", "@studio/ops"),
            ("sites/acme-2/a.yaml", "@studio/ops"),
            ("nodes/web-1.yaml", "@studio/servers"),
            ("secrets/nodes/web-1/ssh.age", "@studio/servers"),
            ("sites/acme/production.yaml", "@studio/acme"),
            ("sites/acme.yaml", "@studio/acme"),
            ("secrets/sites/acme/stripe.age", "@studio/acme"),
        ] {
            assert_eq!(owner(&block, path), expected, "{path}");
        }
    }
}

#[test]
fn owners_of_a_path_write_there_only_what_is_theirs() {
    for block in blocks() {
        let mut right = 0;
        for (keeper, document) in documents() {
            for place in PLACES {
                let who = owner(&block, place);
                if is_right(place, &document) {
                    assert_eq!(who, keeper, "{who} can write {document} to {place}");
                    right += 1;
                }
            }
        }
        // Two places for each of the three that can be added, and some more.
        assert!(right > 6, "only {right} were right");
    }
}

#[test]
fn what_others_own_does_not_become_theirs_by_a_reference() {
    for name in [
        "sites/bakery/stripe",
        "nodes/web-1/ssh",
        "mail/relay",
        "control/git/token",
    ] {
        let document = json!({"kind": "Environment", "site": "acme", "name": "staging",
            "type": "staging", "from": "production",
            "constants": {"KEY": format!("secret:{name}")}});
        assert!(!is_right("sites/acme/staging.yaml", &document), "{name}");
    }
}
