//! A fleet that is checked again in part is right exactly when all of it is.

use std::collections::{BTreeMap, BTreeSet};

use pressluft::core::desired::{Catalog, Changes, Rechecked, recheck};
use pressluft::core::document::parse_bytes;
use pressluft::core::secret_owner::Reserved;
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::repository::check_files;

/// The documents of each file, by its path.
type Model = BTreeMap<String, Vec<Value>>;

const NODES: &[&str] = &["web-1", "web-2", "web-3", "web-4"];
const SITES: &[&str] = &["acme", "bakery", "cafe", "diner", "egg", "farm"];
const ENVIRONMENTS: &[&str] = &["production", "staging", "copy"];
const DOMAINS: &[&str] = &["a.example", "b.example", "c.example", "d.example"];

const SECRETS: &[&str] = &[
    "sites/acme/key",
    "sites/bakery/key",
    "nodes/web-1/ssh",
    "mail/relay",
    "control/git/token",
];
const GRANTEES: &[&str] = &[
    "sites",
    "nodes",
    "site/acme",
    "env/bakery/staging",
    "node/web-2",
];

fn base() -> Model {
    let mut model = Model::new();
    let mut put = |path: &str, document: Value| {
        model.entry(path.to_owned()).or_default().push(document);
    };
    put(
        "pressluft.yaml",
        json!({"kind": "Fleet", "version": 1, "name": "studio", "deny_plugins": ["bad"],
               "defaults": {"environment": {"php": {"version": "8.2", "workers": 4}}}}),
    );
    for (number, name) in NODES.iter().take(3).enumerate() {
        // One of them beside the fleet.
        let path = if number == 0 {
            "pressluft.yaml"
        } else {
            "nodes.yaml"
        };
        put(
            path,
            json!({"kind": "Node", "name": name, "host": format!("192.0.2.{number}"),
                   "php": {"versions": ["8.2"], "ram_budget": "8GiB"}}),
        );
    }
    for (number, site) in SITES.iter().take(5).enumerate() {
        let path = format!("sites/{}.yaml", number / 2);
        put(
            &path,
            json!({"kind": "Site", "name": site, "node": NODES[number % 3],
                   "admin": {"email": "owner@acme.example"}}),
        );
        put(
            &path,
            json!({"kind": "Environment", "site": site, "name": "production",
                   "type": "production"}),
        );
        let mut staging = json!({"kind": "Environment", "site": site, "name": "staging",
                                 "type": "staging", "from": "production"});
        if number == 1 {
            staging["node"] = json!("web-1");
        }
        put(&format!("staging/{}.yaml", number % 2), staging);
    }
    model
}

/// One edit of an operator, good or bad: what, where, and to which of the known words.
type Edit = (
    u8,
    prop::sample::Index,
    prop::sample::Index,
    prop::sample::Index,
);

fn apply(model: &mut Model, (what, document, word, other): &Edit) {
    let places: Vec<(String, usize)> = model
        .iter()
        .flat_map(|(path, documents)| (0..documents.len()).map(move |at| (path.clone(), at)))
        .collect();
    let (path, at) = document.get(&places).clone();
    let paths: Vec<String> = model
        .keys()
        .cloned()
        .chain(["new.yaml".to_owned()])
        .collect();
    let documents = model.get_mut(&path).expect("it was listed");
    let kind = documents[at]["kind"].clone();
    let found = &mut documents[at];
    match (what, kind.as_str()) {
        (0, Some("Environment")) => {
            let size = ["64M", "256M", "1024M", "4096M"];
            found["php"] = json!({"memory": word.get(&size), "workers": 1 + other.index(8)});
        }
        (1, Some("Environment")) => {
            found["domains"] = json!([{"name": word.get(DOMAINS), "primary": true}]);
        }
        (2, Some("Site")) => found["node"] = json!(word.get(NODES)),
        (2, Some("Environment")) => found["node"] = json!(word.get(NODES)),
        (3, Some("Environment")) => {
            found["type"] = json!(word.get(&["production", "staging", "clone"]));
        }
        (4, Some("Environment")) => found["from"] = json!(word.get(ENVIRONMENTS)),
        (5, Some(_)) => drop(documents.remove(at)),
        (6, Some("Environment")) => found["name"] = json!(word.get(ENVIRONMENTS)),
        (6, Some("Site")) => found["name"] = json!(word.get(SITES)),
        (6, Some("Node")) => found["name"] = json!(word.get(NODES)),
        (7, Some("Environment")) => found["site"] = json!(word.get(SITES)),
        (7, Some("Node")) => found["state"] = json!(word.get(&["present", "absent", "drained"])),
        (8, Some("Node")) => {
            found["host"] = json!(format!("192.0.2.{}", word.index(4)));
            found["public_ip"] = json!(format!("198.51.100.{}", other.index(2)));
        }
        (9, Some("Node")) => found["php"]["versions"] = json!([word.get(&["8.2", "8.3"])]),
        (10, Some("Node")) => {
            found["moved"] = json!({"from": format!("node/{}", word.get(NODES))});
        }
        (10, Some("Site")) => {
            found["moved"] = json!({"from": format!("site/{}", word.get(SITES))});
        }
        (11, Some(_)) => {
            let document = documents.remove(at);
            model
                .entry(word.get(&paths).clone())
                .or_default()
                .push(document);
        }
        (12, Some("Site")) => found["updates"] = json!({"gate": word.get(ENVIRONMENTS)}),
        (13, Some("Site")) => {
            let plugin = word.get(&["good", "bad"]);
            found["plugins"] = json!([{"name": plugin, "version": "1.0"}]);
        }
        (14, Some(_)) => found["surprise"] = json!(1),
        (15, Some("Fleet")) => found["deny_plugins"] = json!([word.get(&["good", "bad"])]),
        (16, Some(_)) => {
            let copy = found.clone();
            documents.push(copy);
        }
        (17, Some("Environment")) => {
            let to = word.get(ENVIRONMENTS);
            found["promote"] = json!({"to": to, "token": "one"});
        }
        (18, Some("Environment")) => {
            let name = word.get(SECRETS);
            found["constants"] = json!({"KEY": format!("secret:{name}")});
        }
        (18, Some("Node")) => {
            found["ssh"] = json!({"key": format!("secret:{}", word.get(SECRETS))});
        }
        (19, Some("Fleet")) => {
            let (secret, to) = (word.get(SECRETS), other.get(GRANTEES));
            found["secrets"] = json!({"grants": [{"secret": secret, "to": [to]}]});
        }
        (20, Some("Fleet")) => {
            let secret = format!("secret:{}", word.get(SECRETS));
            found["defaults"]["environment"]["options"] = json!({ "key": secret });
        }
        (21, Some("Fleet")) => found["ownership"] = json!({"by_path": word.index(2) == 1}),
        (22, Some("Site")) => found["title"] = json!(word.get(&["secret:a", "Acme"])),
        _ => {}
    }
}

fn files(model: &Model) -> Vec<(String, Vec<u8>)> {
    let text = |documents: &Vec<Value>| {
        let texts: Vec<String> = documents.iter().map(ToString::to_string).collect();
        texts.join("\n---\n").into_bytes()
    };
    model
        .iter()
        .map(|(path, documents)| (path.clone(), text(documents)))
        .collect()
}

fn catalog(files: &[(String, Vec<u8>)]) -> Option<Catalog> {
    let assembled = check_files(files);
    let desired = assembled
        .desired
        .filter(|_| assembled.diagnostics.is_empty())?;
    let paths = files.iter().map(|(path, _)| path.clone()).collect();
    let mut catalog = Catalog::new(&desired, paths, &|_| None);
    for listed in &mut catalog.resources {
        listed.hash = desired.hash(&listed.id);
    }
    Some(catalog)
}

/// What a check of only the difference says, and how many files it read besides.
fn in_part(
    catalog: &Catalog,
    before: &[(String, Vec<u8>)],
    after: &[(String, Vec<u8>)],
) -> (Option<Rechecked>, usize) {
    let replaced: BTreeSet<u32> = (0_u32..)
        .zip(before)
        .filter(|(_, file)| !after.contains(file))
        .map(|(index, _)| index)
        .collect();
    let parsed = after
        .iter()
        .filter(|file| !before.contains(file))
        .map(|(path, bytes)| (path.clone(), parse_bytes(path, bytes)))
        .collect();
    let changes = Changes {
        replaced,
        parsed,
        files: after.iter().map(|(path, _)| path.clone()).collect(),
    };
    let mut read = 0;
    let rechecked = recheck(catalog, changes, &Reserved::default(), &mut |path| {
        read += 1;
        let same = before.iter().find(|(known, _)| known == path);
        let (_, bytes) = same
            .filter(|file| after.contains(file))
            .ok_or("it changed")?;
        Ok::<_, &str>(parse_bytes(path, bytes))
    });
    (rechecked.expect("only unchanged files are read"), read)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(250))]

    #[test]
    fn a_part_is_right_only_when_the_whole_is(
        edits in proptest::collection::vec((0..23_u8, any::<prop::sample::Index>(),
            any::<prop::sample::Index>(), any::<prop::sample::Index>()), 1..4),
        prelude in proptest::collection::vec((0..23_u8, any::<prop::sample::Index>(),
            any::<prop::sample::Index>(), any::<prop::sample::Index>()), 0..6),
    ) {
        let mut model = base();
        for edit in &prelude {
            let mut next = model.clone();
            apply(&mut next, edit);
            if catalog(&files(&next)).is_some() {
                model = next;
            }
        }
        let before = files(&model);
        let known = catalog(&before).expect("the fleet is valid before");
        for edit in &edits {
            apply(&mut model, edit);
        }
        let after = files(&model);
        if let (Some(rechecked), _) = in_part(&known, &before, &after) {
            let whole = catalog(&after);
            let (next, _) = rechecked.apply(known.clone());
            prop_assert_eq!(Some(&next), whole.as_ref());
        }
    }
}

#[test]
fn what_changes_little_is_checked_in_part() {
    let before = files(&base());
    let known = catalog(&before).expect("the fleet is valid");
    let mut model = base();
    let last = model
        .get_mut("sites/2.yaml")
        .and_then(|file| file.last_mut());
    last.expect("it has documents")["php"] = json!({"memory": "512M"});
    let after = files(&model);
    let (rechecked, read) = in_part(&known, &before, &after);
    let (next, _) = rechecked.expect("a part is enough").apply(known);
    assert_eq!(Some(next), catalog(&after));
    // The fleet, the node with all that is on it; not the files of the other two nodes.
    assert!(read < before.len(), "{read} of {} files", before.len());
}

#[test]
fn what_two_resources_cannot_both_have_is_seen_from_afar() {
    let mut model = base();
    let site = |model: &mut Model, path: &str, name: &str| {
        let file = model.get_mut(path).expect("a file");
        let found = file.iter_mut().find(|document| document["site"] == name);
        found.expect("an environment")["domains"] = json!([{"name": "a.example"}]);
    };
    site(&mut model, "sites/0.yaml", "acme");
    let before = files(&model);
    let known = catalog(&before).expect("the fleet is valid");
    site(&mut model, "sites/2.yaml", "egg");
    assert!(in_part(&known, &before, &files(&model)).0.is_none());
}
