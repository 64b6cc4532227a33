use super::*;

fn grants(text: &str) -> Vec<Grant> {
    serde_json::from_str(text).expect("these are grants")
}

/// Whether each of these may use the secret, in this order: the fleet, two nodes, two sites with an
/// environment each, every node, every site.
fn users(name: &str, grants: &[Grant], reserved: &Reserved) -> String {
    let users = [
        User::Resource(ResourceId::Fleet),
        User::Resource(ResourceId::Node("web-1".to_owned())),
        User::Resource(ResourceId::Node("web-2".to_owned())),
        User::Resource(ResourceId::Site("acme".to_owned())),
        User::Resource(ResourceId::env("acme", "staging")),
        User::Resource(ResourceId::Site("bakery".to_owned())),
        User::Resource(ResourceId::env("bakery", "staging")),
        User::Nodes,
        User::Sites,
    ];
    let owners = Owners { grants, reserved };
    let may = |user: &User| {
        if owners.check(name, user).is_ok() {
            'x'
        } else {
            '-'
        }
    };
    users.iter().map(may).collect()
}

#[test]
fn a_name_says_whose_a_secret_is() {
    let settings = Reserved::new(["git/status".to_owned(), "sites/acme/hook".to_owned()]);
    for (name, expected) in [
        ("mail/relay", "x--------"),
        ("s3", "x--------"),
        // Names that begin alike are other names.
        ("sitesx/acme/a", "x--------"),
        ("controlled/a", "x--------"),
        ("control", "x--------"),
        ("sites", "x--------"),
        ("acme/stripe", "x--------"),
        ("sites/acme/stripe", "---xx----"),
        ("sites/acme/deep/er/key", "---xx----"),
        ("sites/acme-2/stripe", "---------"),
        ("sites/acme", "---------"),
        ("nodes/web-1/ssh", "-x-------"),
        ("nodes/web-1", "---------"),
        ("control/git/token", "---------"),
        ("control/x", "---------"),
        ("git/status", "---------"),
        ("sites/acme/hook", "---------"),
    ] {
        assert_eq!(users(name, &[], &settings), expected, "{name}");
    }
}

#[test]
fn a_grant_lets_those_use_a_secret_that_it_names() {
    let settings = Reserved::new(["git/status".to_owned()]);
    let one =
        |secret: &str, to: &str| grants(&format!(r#"[{{"secret": "{secret}", "to": ["{to}"]}}]"#));
    for (secret, to, name, expected) in [
        ("mail/relay", "site/acme", "mail/relay", "x--xx----"),
        ("mail/relay", "env/acme/staging", "mail/relay", "x---x----"),
        (
            "mail/relay",
            "env/acme/production",
            "mail/relay",
            "x--------",
        ),
        ("mail/relay", "node/web-2", "mail/relay", "x-x------"),
        ("mail/relay", "sites", "mail/relay", "x--xxxx-x"),
        ("mail/relay", "nodes", "mail/relay", "xxx----x-"),
        ("mail/*", "site/acme", "mail/relay", "x--xx----"),
        ("mail/*", "site/acme", "mail", "x--------"),
        ("mail/*", "site/acme", "mailer/relay", "x--------"),
        ("mail", "site/acme", "mail/relay", "x--------"),
        (
            "sites/bakery/*",
            "site/acme",
            "sites/bakery/key",
            "---xxxx--",
        ),
        ("sites/bakery/key", "sites", "sites/bakery/key", "---xxxx-x"),
        // The fleet's own fields are used for the fleet, which no grant is about.
        ("nodes/web-1/key", "nodes", "nodes/web-1/key", "-xx----x-"),
        // What the control plane keeps to itself is not to be granted.
        ("control/git/*", "sites", "control/git/token", "---------"),
        ("git/status", "sites", "git/status", "---------"),
        ("git/*", "nodes", "git/status", "---------"),
    ] {
        let grants = one(secret, to);
        let found = users(name, &grants, &settings);
        assert_eq!(found, expected, "{secret} to {to}: {name}");
    }
}

#[test]
fn who_is_refused_is_told_whose_it_is_and_what_to_write() {
    let reserved = Reserved::new(["git/status".to_owned()]);
    let owners = Owners {
        grants: &[],
        reserved: &reserved,
    };
    let refused = |name: &str, user: &str| {
        let user = match user {
            "sites" => User::Sites,
            "nodes" => User::Nodes,
            id => User::Resource(id.parse().expect("an id")),
        };
        let refused = owners.check(name, &user).expect_err("it is refused");
        format!("{refused}\n{}", refused.hint())
    };
    insta::assert_snapshot!(refused("acme/stripe", "env/acme/production"), @"
    the secret `acme/stripe` belongs to the fleet; `env/acme/production` may not use it
    make it its own with `pressluft secret move acme/stripe sites/acme/stripe` (`--repo DIR` for a file of the fleet repo) and write `secret:sites/acme/stripe`, or grant it in the `Fleet`: `secrets: {grants: [{secret: acme/stripe, to: [site/acme]}]}`
    ");
    insta::assert_snapshot!(refused("ssh/web-1", "node/web-1"), @"
    the secret `ssh/web-1` belongs to the fleet; `node/web-1` may not use it
    make it its own with `pressluft secret move ssh/web-1 nodes/web-1/ssh` (`--repo DIR` for a file of the fleet repo) and write `secret:nodes/web-1/ssh`, or grant it in the `Fleet`: `secrets: {grants: [{secret: ssh/web-1, to: [node/web-1]}]}`
    ");
    insta::assert_snapshot!(refused("sites/bakery/stripe", "env/acme/staging"), @"
    the secret `sites/bakery/stripe` belongs to `site/bakery`; `env/acme/staging` may not use it
    store one of its own with `pressluft secret set sites/acme/stripe` and write `secret:sites/acme/stripe`, or grant it in the `Fleet`: `secrets: {grants: [{secret: sites/bakery/stripe, to: [site/acme]}]}`
    ");
    insta::assert_snapshot!(refused("git/status", "env/acme/staging"), @"
    the secret `git/status` belongs to the control plane, whose settings use it; `env/acme/staging` may not use it
    store another one for this: `pressluft secret set sites/acme/git/status`
    ");
    insta::assert_snapshot!(refused("control/git/token", "fleet"), @"
    the secret `control/git/token` belongs to the control plane; `fleet` may not use it
    store another one for this: `pressluft secret set git/token`
    ");
    insta::assert_snapshot!(refused("sites/acme/s3", "fleet"), @"
    the secret `sites/acme/s3` belongs to `site/acme`; `fleet` may not use it
    store one of the fleet's own, with a name that begins neither with `sites/` nor with `nodes/`: `pressluft secret set s3`
    ");
    insta::assert_snapshot!(refused("sites/acme", "env/acme/staging"), @"
    `sites/acme` is not the whole name of a secret
    `sites/SITE/NAME` is a secret of a site, `nodes/NODE/NAME` one of a node, such as `sites/acme/NAME`
    ");
    insta::assert_snapshot!(refused("stripe", "sites"), @"
    the secret `stripe` belongs to the fleet; not every site may use it
    name it in each document that needs it, or grant it in the `Fleet`: `secrets: {grants: [{secret: stripe, to: [sites]}]}`
    ");
}

#[test]
fn recorded_grants_that_cannot_be_read_grant_nothing() {
    let fleet = |grants: serde_json::Value| -> Spec {
        serde_json::from_value(serde_json::json!({"secrets": {"grants": grants}})).expect("a spec")
    };
    let one = serde_json::json!({"secret": "mail/relay", "to": ["sites"]});
    assert_eq!(grants_of(&fleet(serde_json::json!([one]))).len(), 1);
    let from_later = serde_json::json!({"secret": "mail/relay", "to": ["sites"], "until": "2030"});
    assert_eq!(grants_of(&fleet(serde_json::json!([one, from_later]))), []);
    assert_eq!(grants_of(&Spec::default()), []);
}
