//! Whose secrets a document may use, and where it may stand.

use super::*;

/// What is found when `fleet` is added to the fleet of [`BASE`], `node` to its first node and
/// `environment` to its production.
fn with(fleet: &str, node: &str, environment: &str) -> Vec<String> {
    let text = BASE
        .replace("name: fleet\n", &format!("name: fleet\n{fleet}"))
        .replace("host: 203.0.113.1\n", &format!("host: 203.0.113.1\n{node}"));
    places(&assembled(&[(FLEET_FILE, &format!("{text}{environment}"))]))
}

const NONE: [&str; 0] = [];

#[test]
fn a_site_uses_its_own_secrets_and_no_others() {
    for own in [
        "constants: {KEY: secret:sites/acme/key}\n",
        "options: {key: secret:sites/acme/deep/key}\n",
        "php: {ini: {user_agent: secret:sites/acme/key}}\n",
        "http: {basic_auth: {user: a, password: secret:sites/acme/key}}\n",
        "safety: {basic_auth: secret:sites/acme/key}\n",
    ] {
        assert_eq!(with("", "", own), NONE, "{own}");
        for foreign in [
            "sites/bakery/key",
            "nodes/web-1/ssh",
            "git/status",
            "control/x",
            "sites/acme",
        ] {
            let text = own
                .replace("sites/acme/deep/key", foreign)
                .replace("sites/acme/key", foreign);
            let column = text.find("secret:").expect("it is there") + 1;
            let length = format!("secret:{foreign}").len();
            assert_eq!(
                with("", "", &text),
                [format!("22:{column}+{length} secret-not-owned")],
                "{text}"
            );
        }
    }
}

#[test]
fn a_node_uses_its_own_secrets_and_no_others() {
    assert_eq!(with("", "ssh: {key: secret:nodes/web-1/ssh}\n", ""), NONE);
    for foreign in [
        "nodes/web-2/ssh",
        "sites/acme/key",
        "ssh/web-1",
        "control/ssh",
    ] {
        let found = with("", &format!("ssh: {{key: secret:{foreign}}}\n"), "");
        assert_eq!(found.len(), 1, "{foreign}: {found:?}");
        assert!(found[0].ends_with("secret-not-owned"), "{found:?}");
    }
}

#[test]
fn the_fleet_uses_its_own_secrets_and_no_others() {
    let notify = |name: &str| format!("notify: [{{webhook: secret:{name}}}]\n");
    assert_eq!(with(&notify("notify/ops"), "", ""), NONE);
    for foreign in ["sites/acme/key", "nodes/web-1/ssh", "control/git/token"] {
        let found = with(&notify(foreign), "", "");
        let length = format!("secret:{foreign}").len();
        assert_eq!(found, [format!("4:20+{length} secret-not-owned")]);
        // What a grant is about is not the fleet.
        let grant = format!("secrets: {{grants: [{{secret: {foreign}, to: [sites, nodes]}}]}}\n");
        let found = with(&format!("{}{grant}", notify(foreign)), "", "");
        assert!(found[0].ends_with("secret-not-owned"), "{found:?}");
    }
}

#[test]
fn a_grant_widens_who_uses_a_secret() {
    let constants = "constants: {KEY: secret:mail/relay}\n";
    let grant = |to: &str| format!("secrets: {{grants: [{{secret: mail/relay, to: [{to}]}}]}}\n");
    for to in ["site/acme", "env/acme/production", "sites"] {
        assert_eq!(with(&grant(to), "", constants), NONE, "{to}");
    }
    for to in ["site/bakery", "env/acme/staging", "nodes", "node/web-1"] {
        assert_eq!(
            with(&grant(to), "", constants),
            ["23:18+17 secret-not-owned"],
            "{to}"
        );
    }
    // Defaults reach every site, so they need a grant to all; a mistake is told once, where it is.
    let defaults = format!("defaults: {{environment: {{{}}}}}\n", constants.trim());
    assert_eq!(with(&defaults, "", ""), ["4:43+17 secret-not-owned"]);
    assert_eq!(
        with(&format!("{defaults}{}", grant("site/acme")), "", ""),
        ["4:43+17 secret-not-owned"]
    );
    assert_eq!(with(&format!("{defaults}{}", grant("sites")), "", ""), NONE);
    let nodes = "defaults: {node: {ssh: {key: secret:ssh/all}}}\n";
    assert_eq!(with(nodes, "", ""), ["4:30+14 secret-not-owned"]);
    let granted = "secrets: {grants: [{secret: ssh/all, to: [nodes]}]}\n";
    assert_eq!(with(&format!("{nodes}{granted}"), "", ""), NONE);
}

#[test]
fn what_the_control_plane_keeps_to_itself_is_not_granted() {
    let grant =
        |secret: &str| format!("secrets: {{grants: [{{secret: {secret}, to: [sites]}}]}}\n");
    for secret in ["control/git/token", "control/*", "control/git/*"] {
        let found = with(
            &grant(secret),
            "",
            "constants: {KEY: secret:control/git/token}\n",
        );
        assert_eq!(found.len(), 2, "{secret}: {found:?}");
        assert!(found[0].ends_with("reserved-secret"), "{found:?}");
        assert!(found[1].ends_with("secret-not-owned"), "{found:?}");
    }
    for (secret, code) in [
        ("sites/*", "invalid-value"),
        ("nodes/*", "invalid-value"),
        ("\"*\"", "invalid-value"),
        ("secret:mail/relay", "invalid-value"),
    ] {
        let found = with(&grant(secret), "", "");
        assert_eq!(found.len(), 1, "{secret}: {found:?}");
        assert!(found[0].ends_with(code), "{found:?}");
    }
}

#[test]
fn what_settings_use_is_refused_where_they_are_known() {
    let text = BASE.replace(
        "name: fleet\n",
        "name: fleet\nnotify: [{webhook: secret:git/status}]\n\
         secrets: {grants: [{secret: git/*, to: [sites]}]}\n",
    );
    let text = format!("{text}constants: {{KEY: secret:git/status}}\n");
    let found = |reserved: &Reserved| {
        let parsed = vec![(FLEET_FILE.to_owned(), parse_file(FLEET_FILE, &text))];
        places(&assemble(parsed, reserved, &|_| Some(text.clone())))
    };
    assert_eq!(found(&Reserved::default()), NONE);
    assert_eq!(
        found(&Reserved::new(["git/status".to_owned()])),
        [
            "4:20+17 secret-not-owned",
            "5:29+5 reserved-secret",
            "24:18+17 secret-not-owned",
        ]
    );
}

#[test]
fn a_secret_is_named_only_where_one_is_looked_up() {
    assert_eq!(
        on_production("http: {headers: {X-Key: secret:sites/acme/key}}\n"),
        ["22:25+21 misplaced-secret"]
    );
    assert_eq!(
        on_production("options: {a: {b: secret:sites/acme/key}}\n"),
        ["22:14+1 wrong-type"]
    );
    let title = BASE.replace("node: web-1\nadmin", "node: web-1\ntitle: secret:a\nadmin");
    assert_eq!(
        places(&assembled(&[(FLEET_FILE, &title)])),
        ["16:8+8 misplaced-secret"]
    );
}

#[test]
fn grants_that_cannot_be_read_make_no_other_document_wrong() {
    let found = with(
        "secrets: {grants: [{secret: mail/relay, to: [everybody]}]}\n",
        "",
        "constants: {KEY: secret:mail/relay, B: secret:control/x}\n",
    );
    assert_eq!(found, ["4:46+9 invalid-value", "23:40+16 secret-not-owned"]);
}

#[test]
fn documents_stand_in_the_place_of_their_owner_where_the_fleet_asks_for_it() {
    let fleet = "kind: Fleet\nversion: 1\nname: fleet\n";
    let node = "kind: Node\nname: web-1\nhost: 203.0.113.1\n";
    let site = "kind: Site\nname: acme\nnode: web-1\nadmin: {email: owner@acme.example}\n";
    let production = "kind: Environment\nsite: acme\nname: production\ntype: production\n";
    let found = |asked: &str, places: [&str; 3]| {
        let result = assembled(&[
            (FLEET_FILE, &format!("{fleet}{asked}")),
            (places[0], node),
            (places[1], site),
            (places[2], production),
        ]);
        let found = result.diagnostics.iter();
        found
            .map(|d| format!("{}:{} {}", d.file, d.line, d.code))
            .collect::<Vec<_>>()
    };
    let by_path = "ownership: {by_path: true}\n";
    for places in [
        [
            "nodes.yaml",
            "sites/acme.yaml",
            "sites/acme/production.yaml",
        ],
        ["nodes/web/1.yml", "sites/acme/a/b.yaml", "sites/acme.yml"],
    ] {
        assert_eq!(found(by_path, places), NONE, "{places:?}");
    }
    let anywhere = ["a.yaml", "b.yaml", "c.yaml"];
    assert_eq!(found("", anywhere), NONE);
    assert_eq!(
        found(by_path, anywhere),
        [
            "a.yaml:1 misplaced-document",
            "b.yaml:1 misplaced-document",
            "c.yaml:1 misplaced-document",
        ]
    );
    // Names that only begin like the right place.
    assert_eq!(
        found(
            by_path,
            [
                "nodes2/a.yaml",
                "sites/acme-2.yaml",
                "sites/acmeshop/a.yaml"
            ]
        ),
        [
            "nodes2/a.yaml:1 misplaced-document",
            "sites/acme-2.yaml:1 misplaced-document",
            "sites/acmeshop/a.yaml:1 misplaced-document",
        ]
    );
}
