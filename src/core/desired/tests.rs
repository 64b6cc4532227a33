use super::*;
use crate::core::document::environment::{Mail, Uploads};
use crate::core::document::parse_file;
use crate::core::secret_owner::Reserved;

mod bounds;
mod languages;
mod secrets;

const DESIGN: &str = include_str!("../../../tests/data/design.yaml");

/// A fleet, two nodes and a site, 22 lines, to which cases add.
const BASE: &str = "kind: Fleet
version: 1
name: fleet
---
kind: Node
name: web-1
host: 203.0.113.1
---
kind: Node
name: web-2
host: 203.0.113.2
---
kind: Site
name: acme
node: web-1
admin: {email: owner@acme.example}
---
kind: Environment
site: acme
name: production
type: production
";

fn assembled(files: &[(&str, &str)]) -> Assembled {
    let parsed = files
        .iter()
        .map(|(path, text)| ((*path).to_owned(), parse_file(path, text)))
        .collect();
    assemble(parsed, &Reserved::default(), &|path| {
        let (_, text) = files.iter().find(|(name, _)| *name == path)?;
        Some((*text).to_owned())
    })
}

fn places(assembled: &Assembled) -> Vec<String> {
    let diagnostics = assembled.diagnostics.iter();
    diagnostics
        .map(|d| format!("{}:{}+{} {}", d.line, d.column, d.length, d.code))
        .collect()
}

/// What is found when `text` stands in a file of its own beside [`BASE`].
fn found(text: &str) -> Vec<String> {
    places(&assembled(&[(FLEET_FILE, BASE), ("x.yaml", text)]))
}

/// What is found when `text` is added to the production environment of [`BASE`].
fn on_production(text: &str) -> Vec<String> {
    places(&assembled(&[(FLEET_FILE, &format!("{BASE}{text}"))]))
}

/// What is found of a staging environment with `text`.
fn on_staging(text: &str) -> Vec<String> {
    found(&format!(
        "kind: Environment\nsite: acme\nname: staging\ntype: staging\nfrom: production\n{text}"
    ))
}

#[test]
fn the_design_assembles() {
    let result = assembled(&[(FLEET_FILE, DESIGN)]);
    assert_eq!(result.diagnostics, []);
    let desired = result.desired.expect("no errors");
    let staging = &desired
        .environment("acme", "staging")
        .expect("it is there")
        .value;
    assert!(staging.safety.noindex);
    assert_eq!(staging.safety.mail, Mail::Capture);
    assert_eq!(staging.safety.uploads, Uploads::Copy);
    let production = &desired
        .environment("acme", "production")
        .expect("it is there")
        .value;
    assert!(!production.safety.noindex);
    assert_eq!(production.safety.mail, Mail::Send);
    assert_eq!(
        desired.node_of(staging).map(|node| node.id().to_string()),
        Some("node/web-1".into())
    );
}

#[test]
fn maps_of_defaults_merge_and_lists_and_scalars_replace() {
    let text = BASE.replace(
        "name: fleet\n",
        "name: fleet\ndefaults:\n  environment:\n    php: {memory: 128M, workers: 2, ini: {precision: 1, max_input_vars: 2}}\n    \
         cache: {bypass_paths: [/a/, /b/]}\n    constants: {X: 1}\n  site: {locale: de_DE}\n",
    );
    let text = format!(
        "{text}php: {{workers: 8, ini: {{max_input_vars: 3}}}}\ncache: {{bypass_paths: [/c/]}}\n"
    );
    let desired = assembled(&[(FLEET_FILE, &text)])
        .desired
        .expect("no errors");
    let spec = desired
        .environment("acme", "production")
        .expect("it is there")
        .spec();
    assert_eq!(spec.str("php.memory"), Some("128M"));
    assert_eq!(spec.get("php.workers"), Some(&8.into()));
    assert_eq!(
        spec.get("php.ini"),
        Some(&serde_json::json!({"precision": 1, "max_input_vars": 3}))
    );
    assert_eq!(
        spec.get("cache.bypass_paths"),
        Some(&serde_json::json!(["/c/"]))
    );
    assert_eq!(spec.get("constants.X"), Some(&1.into()));
    assert_eq!(desired.sites["acme"].spec().str("locale"), Some("de_DE"));
    assert_eq!(desired.sites["acme"].spec().str("title"), Some("acme"));
}

#[test]
fn what_no_node_can_have_is_refused_at_its_place() {
    for (text, is_right) in [
        ("php: {memory: 31M}\n", false),
        ("php: {memory: 32M}\n", true),
        ("php: {memory: 17G}\n", false),
        ("health: {timeout: 0s}\n", false),
        ("health: {timeout: 301s}\n", false),
        ("health: {timeout: 5m}\n", true),
        ("cron: {interval: 0s}\n", true),
        ("cron: {interval: 59s}\n", false),
        ("cron: {interval: 1w}\n", true),
        ("cache: {ttl: 0s}\n", false),
    ] {
        let found = on_production(text);
        assert_eq!(found.is_empty(), is_right, "{text}: {found:?}");
        assert!(
            found.iter().all(|line| line.ends_with("out-of-range")),
            "{found:?}"
        );
    }
    for (text, is_right) in [
        ("swap: 0GiB\n", false),
        ("swap: 1GiB\n", true),
        ("swap: 2TiB\n", false),
        ("database: {buffer_pool: 1MiB}\n", false),
        ("redis: {maxmemory: 1KiB}\n", false),
        ("php: {opcache: 1MiB}\n", false),
        ("php: {opcache: 128MiB}\n", true),
    ] {
        let node = format!("host: 203.0.113.1\n{text}");
        let text_of_fleet = BASE.replace("host: 203.0.113.1\n", &node);
        let found = places(&assembled(&[(FLEET_FILE, &text_of_fleet)]));
        assert_eq!(found.is_empty(), is_right, "{text}: {found:?}");
    }
}

#[test]
fn equal_fingerprints_mean_equal_specs() {
    let of = |text: &str| {
        let desired = assembled(&[(FLEET_FILE, text)]).desired.expect("no errors");
        let environment = desired
            .environment("acme", "production")
            .expect("it is there");
        (environment.fingerprint, environment.spec())
    };
    let (plain, spec) = of(BASE);
    let (commented, same) = of(&BASE.replace("type: production\n", "type: production # public\n"));
    assert_eq!((plain, &spec), (commented, &same));
    let defaults = "name: fleet\ndefaults: {environment: {maintenance: true}}\n";
    let (changed, other) = of(&BASE.replace("name: fleet\n", defaults));
    assert_ne!(plain, changed);
    assert_ne!(spec, other);
}

#[test]
fn there_is_one_fleet_in_its_file() {
    let fleet = "kind: Fleet\nversion: 1\nname: a\n";
    assert_eq!(
        places(&assembled(&[("a.yaml", fleet)])),
        ["1:7+5 misplaced-fleet"]
    );
    assert_eq!(found(fleet), ["1:7+5 duplicate-id"]);
    assert_eq!(places(&assembled(&[])), ["0:0+0 missing-fleet"]);
    // A fleet that cannot be read is not missing as well.
    assert_eq!(
        places(&assembled(&[(FLEET_FILE, "kind: Fleet\nname: [\n")])),
        ["2:7+1 yaml-syntax"]
    );
}

#[test]
fn ids_are_unique_and_both_places_are_told() {
    let result = assembled(&[
        (FLEET_FILE, BASE),
        ("x.yaml", "kind: Node\nname: web-1\nhost: x\n"),
    ]);
    assert_eq!(places(&result), ["2:7+5 duplicate-id"]);
    assert_eq!(
        result.diagnostics[0].hint.as_deref(),
        Some("the first one is at pressluft.yaml:5")
    );
}

#[test]
fn references_resolve() {
    assert_eq!(on_production("node: web-3\n"), ["22:7+5 unknown-reference"]);
    assert_eq!(
        on_staging("promote: {to: live, token: a}\n"),
        ["6:15+4 unknown-reference"]
    );
    assert_eq!(
        on_staging("sync: {from: live, token: a}\n"),
        ["6:14+4 unknown-reference"]
    );
    let absent = "kind: Node\nname: web-3\nstate: absent\nhost: x\n---\nkind: Environment\n\
                  site: acme\nname: a\ntype: clone\nfrom: production\nnode: web-3\n";
    assert_eq!(found(absent), ["11:7+5 absent-node"]);
}

#[test]
fn a_document_with_mistakes_still_counts_for_the_others() {
    let site = "kind: Site\nname: brewery\nnode: web-1\nprotect: perhaps\n---\n\
                kind: Environment\nsite: brewery\nname: production\ntype: production\n";
    // Its own mistake, and the e-mail address that nobody gave; no unknown site.
    assert_eq!(found(site), ["1:1+4 missing-field", "4:10+7 wrong-type"]);
    let broken = "kind: Node\nname: web-3\nhost: [\n---\nkind: Environment\nsite: acme\n\
                  name: a\ntype: clone\nfrom: production\nnode: web-3\n";
    assert_eq!(found(broken), ["3:7+1 yaml-syntax"]);
}

#[test]
fn production_is_not_a_copy() {
    assert_eq!(on_production("from: staging\n").len(), 2);
    assert_eq!(
        on_production("expires: 1d\n"),
        ["22:10+2 expires-on-production"]
    );
    assert_eq!(
        found("kind: Environment\nsite: acme\nname: live\ntype: production\n"),
        // The first one by name counts.
        ["21:7+10 second-production"]
    );
}

#[test]
fn copies_come_from_somewhere() {
    let copy = "kind: Environment\nsite: acme\nname: a\ntype: clone\n";
    assert_eq!(found(copy), ["4:7+5 missing-from"]);
    assert_eq!(found(&format!("{copy}from: a\n")), ["5:7+1 from-cycle"]);
    assert_eq!(
        found("kind: Environment\nsite: acme\nname: production\ntype: clone\nfrom: a\n").last(),
        Some(&"5:7+1 unknown-reference".to_owned())
    );
}

#[test]
fn one_shots_go_the_right_way() {
    assert_eq!(
        on_production("promote: {to: production, token: a}\n"),
        ["22:1+7 promote-from-production"]
    );
    assert_eq!(
        on_production("sync: {from: production, token: a}\n"),
        ["22:1+4 sync-into-production"]
    );
    assert_eq!(
        on_staging("promote: {to: staging, token: a}\n"),
        ["6:15+7 promote-to-itself"]
    );
    assert_eq!(
        on_staging("sync: {from: staging, token: a}\n"),
        ["6:14+7 sync-from-itself"]
    );
    assert_eq!(
        on_staging("sync: {from: production, token: a, db: false, files: false}\n"),
        ["6:1+4 empty-sync"]
    );
}

#[test]
fn passwords_are_asked_for_once() {
    let both = "http: {basic_auth: {user: a, password: secret:sites/acme/a}}\nsafety: {basic_auth: secret:sites/acme/b}\n";
    assert_eq!(on_staging(both), ["6:8+10 second-basic-auth"]);
}

#[test]
fn regular_backups_need_a_repository() {
    assert_eq!(
        on_production("backups: {schedule: 0 3 * * *}\n"),
        ["22:21+9 backup-repository-needed"]
    );
}

#[test]
fn domains_have_their_roles() {
    assert_eq!(
        on_production("domains: [{name: a.example, primary: true, redirect: true}]\n"),
        ["22:54+4 primary-redirect"]
    );
    assert_eq!(
        on_production("domains: [{name: a.example, challenge: dns-01}]\n"),
        ["22:40+6 dns01-needed"]
    );
}

#[test]
fn nodes_have_addresses_of_their_own() {
    let node = "kind: Node\nname: web-3\nhost: x\npublic_ip: 203.0.113.9\n";
    let twin = node.replace("web-3", "web-4").replace("host: x", "host: y");
    assert_eq!(
        found(&format!("{node}---\n{twin}")),
        ["9:12+11 duplicate-address"]
    );
    // Another port is another machine behind the same address.
    let other_port = "kind: Node\nname: web-3\nhost: 203.0.113.1\nssh: {port: 2222}\n";
    assert_eq!(found(other_port), Vec::<String>::new());
}

#[test]
fn two_nodes_that_lead_to_one_machine_are_found_in_every_spelling() {
    let pair = |first: &str, second: &str| {
        found(&format!(
            "kind: Node\nname: web-3\n{first}\n---\nkind: Node\nname: web-4\n{second}\n"
        ))
    };
    let same = "duplicate-host";
    for (first, second, code) in [
        ("host: 2001:db8::7", "host: 2001:DB8:0:0:0:0:0:7", same),
        ("host: 203.0.113.7", "host: ::ffff:203.0.113.7", same),
        ("host: 203.0.113.7", "host: ::ffff:cb00:7107", same),
        ("host: localhost", "host: 127.0.0.1", same),
        ("host: localhost", "host: ::1", same),
        ("host: a.example", "host: a.example\nssh: {port: 22}", same),
        (
            "host: 203.0.113.7",
            "host: a.example\npublic_ip: ::ffff:203.0.113.7",
            "duplicate-address",
        ),
    ] {
        let found = pair(first, second);
        let codes: Vec<_> = found.iter().filter_map(|f| f.split_once(' ')).collect();
        assert_eq!(codes.len(), 1, "{first} and {second}: {found:?}");
        assert_eq!(codes[0].1, code, "{first} and {second}: {found:?}");
    }
    // The other way round it is the host that is taken.
    let found_host = pair(
        "host: a.example\npublic_ip: 203.0.113.7",
        "host: 203.0.113.7",
    );
    assert_eq!(found_host, ["8:7+11 duplicate-address"]);
    for (first, second) in [
        // A machine behind the same address, with a port of its own.
        (
            "host: 203.0.113.7\nssh: {port: 2201}",
            "host: 203.0.113.7\nssh: {port: 2202}",
        ),
        (
            "host: 203.0.113.7\nssh: {port: 2201}",
            "host: a.example\npublic_ip: 203.0.113.7",
        ),
        ("host: 203.0.113.7", "host: 203.0.113.70"),
        ("host: a.example", "host: b.a.example"),
    ] {
        assert_eq!(
            pair(first, second),
            Vec::<String>::new(),
            "{first} and {second}"
        );
    }
    let key = "ssh: {host_key: ssh-ed25519 \
               AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f}";
    let found = pair(
        &format!("host: a.example\n{key}"),
        &format!("host: b.example\n{key}"),
    );
    assert!(
        found.len() == 1 && found[0].ends_with(" duplicate-host-key"),
        "{found:?}"
    );
}

#[test]
fn a_host_has_one_spelling_or_none() {
    for text in [
        "203.0.113.010",
        "0313.0.113.7",
        "3405803527",
        "0xcb007107",
        "203.0.28935",
        "a.example.",
        "A.example",
        "bücher.example",
        "'[2001:db8::7]'",
        "a.example:22",
        "203.0.113.7:22",
        "0.0.0.0",
        "'::'",
        "255.255.255.255",
        "ff02::1",
    ] {
        let document = format!("kind: Node\nname: web-3\nhost: {text}\n");
        let found = found(&document);
        assert!(
            found.len() == 1 && found[0].ends_with(" invalid-value"),
            "{text}: {found:?}"
        );
    }
}

#[test]
fn the_later_of_two_is_reported_also_when_the_first_has_errors() {
    let first = "kind: Node\nname: web-3\nhost: x\nswap: much\n";
    let second = "kind: Node\nname: web-3\nhost: y\n";
    assert_eq!(
        found(&format!("{first}---\n{second}")),
        ["4:7+4 invalid-value", "7:7+5 duplicate-id"]
    );
}

#[test]
fn redirects_lead_somewhere() {
    let domains = "domains: [{name: a.example, primary: true}]\n";
    let itself = "http: {redirects: [{from: /a, to: \"https://a.example/a?x=1\"}]}\n";
    assert_eq!(
        on_production(&format!("{domains}{itself}")),
        ["23:35+25 redirect-loop"]
    );
    let elsewhere = "http: {redirects: [{from: /a, to: \"https://b.example/a\"}]}\n";
    assert_eq!(
        on_production(&format!("{domains}{elsewhere}")),
        Vec::<String>::new()
    );
    let chain = "http: {redirects: [{from: /x, to: /a}, {from: /a, to: /b}, {from: /b, to: /a}]}\n";
    assert_eq!(on_production(chain), ["22:55+2 redirect-loop"]);
}

#[test]
fn the_ram_budget_holds_all_workers() {
    let node = |budget: &str| {
        let text = BASE.replace(
            "host: 203.0.113.1\n",
            &format!("host: x\nphp: {{ram_budget: {budget}}}\n"),
        );
        places(&assembled(&[(FLEET_FILE, &text)]))
    };
    assert_eq!(node("1GiB"), Vec::<String>::new());
    assert_eq!(node("1023MiB"), ["8:19+7 ram-budget-exceeded"]);
}

#[test]
fn a_wrong_item_hides_nothing_of_those_behind_it() {
    let domains = "domains:
- {name: a_b.example}
- {name: a.example, primary: true}
- {nam: b.example}
- 7
- {name: a.example}
- {name: c.example, primary: true}
";
    assert_eq!(
        on_production(domains),
        [
            "23:10+11 invalid-value",
            "25:4+3 unknown-field",
            "26:3+1 wrong-type",
            "27:10+9 duplicate-domain",
            "28:30+4 second-primary",
        ]
    );
}

#[test]
fn a_second_document_of_an_environment_takes_no_memory() {
    let text = BASE.replacen(
        "host: 203.0.113.1\n",
        "host: 203.0.113.1\nphp: {ram_budget: 1GiB}\n",
        1,
    );
    let again = "kind: Environment\nsite: acme\nname: production\ntype: production\n";
    let found = places(&assembled(&[(FLEET_FILE, &text), ("x.yaml", again)]));
    assert!(
        !found.iter().any(|place| place.contains("ram-budget")),
        "{found:?}"
    );
    assert!(
        found.contains(&"3:7+10 duplicate-id".to_owned()),
        "{found:?}"
    );
}

#[test]
fn moved_leads_away_from_something_that_is_gone() {
    assert_eq!(
        on_production("moved: {from: site/old}\n"),
        ["22:15+8 moved-kind"]
    );
    assert_eq!(
        on_production("moved: {from: env/bakery/old}\n"),
        ["22:15+14 moved-site"]
    );
    assert_eq!(
        on_production("moved: {from: env/acme/production}\n"),
        ["22:15+19 moved-from-exists"]
    );
    let nodes = "kind: Node\nname: a\nhost: a\nmoved: {from: node/old}\n---\n\
                 kind: Node\nname: b\nhost: b\nmoved: {from: node/old}\n";
    assert_eq!(found(nodes), ["9:15+8 moved-twice"]);
}

#[test]
fn only_production_is_called_so() {
    let text = BASE.replace("type: production", "type: staging\nfrom: production");
    let result = places(&assembled(&[(FLEET_FILE, &text)]));
    assert!(
        result.contains(&"20:7+10 name-and-type".to_owned()),
        "{result:?}"
    );
}

#[test]
fn what_must_not_be_empty_is_not() {
    assert_eq!(
        on_production("health: {paths: []}\n"),
        ["22:10+5 empty-list"]
    );
    assert_eq!(
        found("kind: Node\nname: a\nhost: a\nphp: {versions: []}\n"),
        ["4:7+8 empty-list"]
    );
}

#[test]
fn a_value_that_cannot_be_read_is_not_called_missing_as_well() {
    let unknown_type = BASE.replace("type: production", "type: prod");
    assert_eq!(
        places(&assembled(&[(FLEET_FILE, &unknown_type)])),
        ["21:7+4 unknown-value"]
    );
    assert_eq!(
        on_production("health: {paths: [shop]}\n"),
        ["22:18+4 invalid-value"]
    );
    assert_eq!(
        on_production("sftp: [{name: editor, keys: [x]}]\n"),
        ["22:30+1 invalid-value"]
    );
}

#[test]
fn mistakes_in_fields_that_all_need_hide_no_others() {
    let broken = BASE
        .replace(
            "version: 1\n",
            "version: 3\npreview: {domain: wp.example}\n",
        )
        .replace(
            "host: 203.0.113.2\n",
            "host: -x\n---\nkind: Node\nname: web-1\nhost: -y\n",
        );
    assert_eq!(
        places(&assembled(&[(FLEET_FILE, &broken)])),
        [
            "2:10+1 invalid-value",
            "3:19+10 dns01-needed",
            "12:7+2 invalid-value",
            "15:7+5 duplicate-id",
            "16:7+2 invalid-value",
        ]
    );
}
