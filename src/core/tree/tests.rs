use std::collections::{BTreeMap, BTreeSet};

use minijinja::Value as View;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::core::desired::HasSpec;
use crate::core::document::{Environment, Node};
use crate::core::facts::NodeFacts;
use crate::core::id::ResourceKind;
use crate::core::names::{EnvironmentNames, environment_names};

const HOSTILE: &str = "{{ lookup('pipe','touch /tmp/x') }} $host ${HOME} `id` \"d\" 's' \\";

fn facts() -> NodeFacts {
    NodeFacts {
        distribution: "debian".to_owned(),
        version: "12".to_owned(),
        codename: "bookworm".to_owned(),
        architecture: "amd64".to_owned(),
        kernel: "6.1.0".to_owned(),
        memory_bytes: 4 << 30,
        cpus: 2,
        machine_id: "0f0e0d0c0b0a09080706050403020100".to_owned(),
        hostname: "web-1".to_owned(),
        python: "3.11.2".to_owned(),
        control_address: Some("198.51.100.7".to_owned()),
        ipv4: vec!["203.0.113.10".to_owned()],
        ipv6: Vec::new(),
        virtualization: Some("kvm".to_owned()),
        systemd: true,
        disk_free_bytes: 16 << 30,
    }
}

fn secrets() -> SecretValues {
    SecretValues {
        db_password: r"db'pass\".to_owned(),
        admin_password: "admin-password".to_owned(),
        salts: context::SALTS
            .iter()
            .map(|name| ((*name).to_owned(), r"salt\".to_owned()))
            .collect(),
        named: [("acme/staging".to_owned(), "guest:letmein".to_owned())].into(),
    }
}

fn names(environment: &str) -> EnvironmentNames {
    environment_names("acme", environment, "203.0.113.10".parse().ok(), None)
}

fn whole<T: HasSpec>(spec: Value) -> Value {
    let spec = serde_json::from_value(spec).expect("a spec");
    T::from_spec(&spec).expect("a document").whole()
}

/// `spec` laid over `base`, whatever it holds: documents would refuse some of it.
fn over(base: Value, spec: &Value) -> Value {
    match (base, spec) {
        (Value::Object(mut base), Value::Object(spec)) => {
            for (key, value) in spec {
                let below = base.remove(key).unwrap_or(Value::Null);
                base.insert(key.clone(), over(below, value));
            }
            Value::Object(base)
        }
        (_, spec) => spec.clone(),
    }
}

/// What a test changes of the usual job.
struct Case {
    node: Value,
    env: Value,
    facts: NodeFacts,
    secrets: Option<SecretValues>,
}

impl Case {
    fn new(env: Value) -> Self {
        let node = json!({"name": "web-1", "php": {"versions": ["8.2"]}});
        Self {
            node,
            env,
            facts: facts(),
            secrets: Some(secrets()),
        }
    }

    fn production() -> Self {
        Self::new(json!({
            "site": "acme", "name": "production", "type": "production",
            "cron": {"interval": "5m"},
        }))
    }

    fn staging() -> Self {
        Self::new(json!({
            "site": "acme", "name": "staging", "type": "staging", "from": "production",
            "safety": {
                "noindex": true, "mail": "capture", "basic_auth": "secret:acme/staging",
                "uploads": "proxy", "outbound_http": false,
            },
        }))
    }

    fn rendered(&self) -> Result<(Tree, Tree), RenderError> {
        self.rendered_with(&Templates::embedded())
    }

    fn environment_with(&self, templates: &Templates) -> Result<Tree, RenderError> {
        Ok(self.rendered_with(templates)?.1)
    }

    fn rendered_with(&self, templates: &Templates) -> Result<(Tree, Tree), RenderError> {
        let names = names(self.env["name"].as_str().unwrap_or_default());
        let node = over(
            whole::<Node>(json!({"name": "web-1", "host": "192.0.2.1"})),
            &self.node,
        );
        let env = json!({"site": "acme", "name": "production", "type": "production",
            "safety": {"mail": "send", "noindex": false}, "cron": {"interval": "0s"}});
        let env = over(whole::<Environment>(env), &self.env);
        let context = RenderContext {
            node: &node,
            facts: Some(&self.facts),
            site: None,
            env: Some(&env),
            names: Some(&names),
            url: None,
            secrets: self.secrets.as_ref(),
        };
        Ok((
            node_tree(&context, templates)?,
            environment_tree(&context, templates)?,
        ))
    }

    fn node(&self) -> Tree {
        self.rendered().expect("renders").0
    }

    fn environment(&self) -> Tree {
        self.rendered().expect("renders").1
    }

    fn refused(&self) -> String {
        self.rendered().expect_err("is refused").to_string()
    }
}

fn content<'a>(tree: &'a Tree, path: &str) -> &'a str {
    let item = tree.items.iter().find(|item| item.path == path);
    item.and_then(|item| item.content.as_deref())
        .unwrap_or_else(|| panic!("no file {path}"))
}

/// One line for each item: what a reviewer wants to see of a tree.
fn listing(tree: &Tree) -> String {
    let mut lines: Vec<String> = tree
        .items
        .iter()
        .map(|item| {
            format!(
                "{:?} {} {}:{} {}{}{}",
                item.kind,
                item.mode.unwrap_or("-"),
                item.owner.as_deref().unwrap_or("-"),
                item.group.as_deref().unwrap_or("-"),
                item.path,
                if item.sensitive { " sensitive" } else { "" },
                item.handlers
                    .iter()
                    .fold(String::new(), |text, name| text + " !" + name),
            )
        })
        .collect();
    lines.sort();
    lines.join("\n")
}

#[test]
fn the_tree_of_a_node() {
    let mut case = Case::production();
    case.node["swap"] = json!("1GiB");
    case.node["patching"] =
        json!({"window": "sun 03:00-05:00 Europe/Berlin", "reboot": "if-needed"});
    insta::assert_snapshot!(listing(&case.node()));
}

/// The planner configures environments anew when one of these changes, and for no other field.
#[test]
fn what_environments_see_of_their_node_is_known() {
    let seen = crate::core::carrier::seen_by_environments(ResourceKind::Node);
    // Of what only some environments see, one sees all.
    let production = || {
        let mut case = Case::production();
        case.env["cache"]["object"] = json!(true);
        case
    };
    let before = production().environment();
    for (field, inner, value) in [
        ("php", "opcache", json!("128MiB")),
        ("php", "versions", json!(["8.2", "8.3"])),
        ("database", "buffer_pool", json!("192MiB")),
        ("redis", "maxmemory", json!("100MiB")),
        ("ssh", "port", json!(2222)),
        ("ssh", "user", json!("deploy")),
        ("firewall", "open", json!(["8080/tcp"])),
        ("firewall", "ssh_allow", json!(["203.0.113.0/24"])),
        ("fail2ban", "allow", json!(["198.51.100.0/24"])),
        ("patching", "hold", json!(["nano"])),
    ] {
        let mut case = production();
        case.node[field][inner] = value;
        let differs = listing(&case.environment()) != listing(&before)
            || format!("{:?}", case.environment()) != format!("{before:?}");
        let name = format!("{field}.{inner}");
        assert_eq!(differs, seen.contains(&name.as_str()), "{name}");
    }
}

#[test]
fn the_tree_of_a_production_environment() {
    insta::assert_snapshot!(listing(&Case::production().environment()));
}

#[test]
fn the_vhost_of_a_copy() {
    let tree = Case::staging().environment();
    insta::assert_snapshot!(content(
        &tree,
        "/etc/nginx/sites-enabled/wp_acme_staging.conf"
    ));
}

#[test]
fn the_configuration_of_wordpress() {
    let mut case = Case::staging();
    case.env["constants"] = json!({"A": HOSTILE, "B": 5, "C": true, "D": "secret:acme/staging"});
    case.env["cache"] = json!({"object": true});
    let tree = case.environment();
    insta::assert_snapshot!(content(
        &tree,
        "/var/www/sites/acme/staging/shared/wp-config.php"
    ));
}

#[test]
fn the_plugin_of_a_copy() {
    let tree = Case::staging().environment();
    let path = "/var/www/sites/acme/staging/shared/mu-plugins/pressluft.php";
    insta::assert_snapshot!(content(&tree, path));
}

#[test]
fn the_firewall_keeps_the_control_plane_in() {
    let mut case = Case::production();
    case.node["firewall"] =
        json!({"ssh_allow": ["192.0.2.0/24", "2001:db8::/32"], "open": ["51820/udp"]});
    case.node["ssh"] = json!({"port": 2222});
    insta::assert_snapshot!(content(&case.node(), "/etc/nftables.conf"));
}

#[test]
fn every_item_names_checks_and_reloads_that_exist() {
    let mut cached = Case::production();
    cached.env["cache"]["page"] = json!(true);
    cached.env["cache"]["object"] = json!(true);
    for case in [Case::production(), Case::staging(), cached] {
        let (node, environment) = case.rendered().expect("renders");
        for tree in [node, environment] {
            let handlers: BTreeSet<_> = tree.handlers.iter().map(|h| h.name.as_str()).collect();
            let mut paths = BTreeSet::new();
            for item in &tree.items {
                assert!(paths.insert(&item.path), "{} appears twice", item.path);
                for name in &item.handlers {
                    assert!(
                        handlers.contains(name.as_str()),
                        "{} names {name}",
                        item.path
                    );
                }
                for name in &item.validators {
                    assert!(
                        tree.validators.contains_key(name),
                        "{} names {name}",
                        item.path
                    );
                }
            }
        }
    }
}

#[test]
fn no_file_without_the_mark_holds_a_secret() {
    for tree in [
        Case::staging().environment(),
        Case::production().environment(),
    ] {
        for item in tree.items.iter().filter(|item| !item.sensitive) {
            let text = item.content.as_deref().unwrap_or_default();
            for secret in ["db'pass", "admin-password", "letmein", "salt"] {
                assert!(!text.contains(secret), "{} holds {secret}", item.path);
            }
        }
    }
}

#[test]
fn a_picture_holds_no_secret_and_needs_none() {
    let mut case = Case::staging();
    case.secrets = None;
    let tree = case.environment();
    let config = content(&tree, "/var/www/sites/acme/staging/shared/wp-config.php");
    assert!(config.contains("define( 'DB_PASSWORD', '(sensitive)' );"));
    assert_eq!(
        content(&tree, "/etc/nginx/pressluft/wp_acme_staging.htpasswd"),
        "acme:(sensitive)\n"
    );
}

#[test]
fn every_answer_of_a_copy_says_noindex_and_no_location_drops_it() {
    let tree = Case::staging().environment();
    let vhost = content(&tree, "/etc/nginx/sites-enabled/wp_acme_staging.conf");
    assert!(vhost.contains("    add_header X-Robots-Tag \"noindex, nofollow\" always;\n"));
    assert!(
        !vhost.contains("        add_header"),
        "a location has a header of its own"
    );
}

#[test]
fn certificates_are_issued_whatever_else_is_closed() {
    for maintenance in [false, true] {
        let mut case = Case::staging();
        case.env["maintenance"] = json!(maintenance);
        case.env["http"] = json!({"ip_allow": ["192.0.2.0/24"]});
        let tree = case.environment();
        let vhost = content(&tree, "/etc/nginx/sites-enabled/wp_acme_staging.conf");
        let challenge = vhost
            .split("location ^~ /.well-known/acme-challenge/")
            .nth(1);
        let block = challenge
            .and_then(|rest| rest.split('}').next())
            .expect("a location");
        assert!(block.contains("auth_basic off;") && block.contains("allow all;"));
        assert_eq!(vhost.contains("return 503;"), maintenance);
    }
}

#[test]
fn what_has_no_safe_form_is_refused() {
    let refusals = [
        (
            "/http",
            json!({"headers": {"X-A": "one\r\nX-B: two"}}),
            "holds a control character",
        ),
        (
            "/http",
            json!({"headers": {"X A": "one"}}),
            "letters, digits, `-` and `_` only",
        ),
        (
            "/http",
            json!({"ip_allow": ["all; root /"]}),
            "is not an IP address",
        ),
        (
            "/http",
            json!({"rate_limit": "10r/s; }"}),
            "a rate is written like",
        ),
        (
            "/php",
            json!({"version": "8.2/../../x"}),
            "a PHP version is written like",
        ),
        (
            "/php",
            json!({"version": "8.2", "memory": "1M\nx"}),
            "a size is written like",
        ),
        (
            "/php",
            json!({"version": "8.2", "ini": {"a": "$pool"}}),
            "PHP-FPM always replaces",
        ),
        (
            "/php",
            json!({"version": "8.2", "ini": {"a]\nb": "1"}}),
            "letters, digits",
        ),
        (
            "/constants",
            json!({"A": "secret:other"}),
            "no secret of this name",
        ),
        ("/site", json!("../x"), "characters that a name cannot have"),
    ];
    for (field, value, reason) in refusals {
        let mut case = Case::staging();
        case.env[&field[1..]] = value;
        let refusal = case.refused();
        assert!(refusal.contains(reason), "{field}: {refusal}");
    }
}

#[test]
fn a_failure_does_not_quote_a_secret() {
    let mut case = Case::staging();
    case.env["php"]["ini"] = json!({"a": "secret:acme/staging"});
    let named = [("acme/staging".to_owned(), "hidden\nvalue".to_owned())].into();
    case.secrets = Some(SecretValues { named, ..secrets() });
    let refusal = case.refused();
    assert!(
        refusal.contains("php/environment.ini") && !refusal.contains("hidden"),
        "{refusal}"
    );
}

fn overriding(path: &str, text: &str) -> Result<Templates, RenderError> {
    let overrides = [(path.to_owned(), text.to_owned())].into();
    Templates::with_overrides(overrides, |request| request.accept(request.render()))
}

#[test]
fn a_fleet_replaces_a_template_but_adds_none() {
    assert!(overriding("nginx/none.conf", "").is_err());
    assert!(overriding("nginx/site.conf", "# own\n").is_ok());
}

#[test]
fn windows_become_calendar_events() {
    for (window, begins, reboots) in [
        (
            "sun 03:00-05:00 Europe/Berlin",
            "Sun *-*-* 03:00:00 Europe/Berlin",
            "Sun *-*-* 04:00:00 Europe/Berlin",
        ),
        (
            "mon,tue 22:00-02:00",
            "Mon,Tue *-*-* 22:00:00 UTC",
            "Mon,Tue *-*-* 23:59:00 UTC",
        ),
        ("04:00-05:00", "*-*-* 04:00:00 UTC", "*-*-* 04:30:00 UTC"),
    ] {
        let mut case = Case::production();
        case.node["patching"] = json!({"window": window, "reboot": "if-needed"});
        let tree = case.node();
        let upgrade = "/etc/systemd/system/apt-daily-upgrade.timer.d/pressluft.conf";
        assert!(content(&tree, upgrade).contains(&format!("OnCalendar={begins}\n")));
        let reboot = "/etc/systemd/system/pressluft-reboot.timer";
        assert!(content(&tree, reboot).contains(&format!("OnCalendar={reboots}\n")));
    }
}

#[test]
fn a_window_in_an_hour_that_the_clocks_skip_opens_right_after_it() {
    let calendars = |window: &str| {
        let mut case = Case::production();
        case.node["patching"] = json!({"window": window, "reboot": "if-needed"});
        let tree = case.node();
        [
            "apt-daily-upgrade.timer.d/pressluft.conf",
            "pressluft-reboot.timer",
        ]
        .map(|unit| {
            let text = content(&tree, &format!("/etc/systemd/system/{unit}"));
            let lines = text.lines().filter_map(|l| l.strip_prefix("OnCalendar="));
            let lines: Vec<_> = lines.filter(|line| !line.is_empty()).collect();
            lines.join("; ")
        })
    };
    assert_eq!(
        calendars("sun 02:00-03:00 Europe/Berlin"),
        [
            "Sun *-*-* 02:00:00 Europe/Berlin; Sun *-03-25..31 03:00:00 Europe/Berlin",
            "Sun *-*-* 02:30:00 Europe/Berlin; Sun *-03-25..31 03:30:00 Europe/Berlin",
        ]
    );
    assert_eq!(
        calendars("01:30-03:30 America/New_York"),
        [
            "*-*-* 01:30:00 America/New_York",
            "*-*-* 02:30:00 America/New_York; Sun *-03-08..14 03:00:00 America/New_York",
        ]
    );
    // Not on a day on which it opens, and not in a zone whose clocks are never changed.
    assert!(!calendars("mon-fri 02:00-03:00 Europe/Berlin")[0].contains(';'));
    assert!(!calendars("02:00-03:00 Asia/Tokyo")[0].contains(';'));
    // By no rule of weekdays: dates.
    let by_date = &calendars("02:00-03:00 Africa/Casablanca")[0];
    assert!(
        by_date.contains("; 2026-03-22 03:00:00 Africa/Casablanca"),
        "{by_date}"
    );
}

#[test]
fn requests_and_tasks_share_one_sandbox() {
    let tree = Case::production().environment();
    let unit =
        |name: &str| content(&tree, &format!("/etc/systemd/system/pressluft-{name}")).to_owned();
    let service = unit("php-wp_acme_production.service");
    let task = unit("cron-wp_acme_production.service");
    let (_, sandbox) = service
        .split_once("\n\n# What PHP of this")
        .expect("a sandbox");
    assert!(sandbox.contains("\nProtectSystem=strict\n") && task.ends_with(sandbox));
    insta::assert_snapshot!(service);
}

/// Reads back what PHP reads in a single-quoted string.
fn php_reads(quoted: &str) -> Option<String> {
    let inner = quoted.strip_prefix('\'')?.strip_suffix('\'')?;
    let (mut text, mut chars) = (String::new(), inner.chars().peekable());
    while let Some(c) = chars.next() {
        match c {
            '\'' => return None,
            '\\' if matches!(chars.peek(), Some('\\' | '\'')) => text.extend(chars.next()),
            '\\' if chars.peek().is_none() => return None,
            c => text.push(c),
        }
    }
    Some(text)
}

/// Reads back what nginx reads in a double-quoted word, with its variables.
fn nginx_reads(quoted: &str) -> Option<String> {
    let inner = quoted.strip_prefix('"')?.strip_suffix('"')?;
    let (mut text, mut chars) = (String::new(), inner.chars());
    while let Some(c) = chars.next() {
        match c {
            '"' => return None,
            '\\' => match chars.next()? {
                c @ ('\\' | '"') => text.push(c),
                _ => return None,
            },
            c => text.push(c),
        }
    }
    let text = text.replace("${pressluft_dollar}", "\u{0}");
    (!text.contains('$')).then(|| text.replace('\u{0}', "$"))
}

/// Reads back what the ini scanner of PHP reads in pieces of quoted text.
fn ini_reads(quoted: &str) -> Option<String> {
    let (mut text, mut rest) = (String::new(), quoted);
    while let Some(quote) = rest.chars().next() {
        let end = rest[1..].find(quote)? + 1;
        let piece = &rest[1..end];
        if quote == '"' && piece.contains(['$', '\\']) || !matches!(quote, '"' | '\'') {
            return None;
        }
        text.push_str(piece);
        rest = &rest[end + 1..];
    }
    Some(text)
}

proptest! {
    #[test]
    fn any_text_is_a_php_string(text in any::<String>()) {
        prop_assert_eq!(php_reads(&quoting::php_single_quoted(&text)), Some(text));
    }

    #[test]
    fn any_printable_text_is_a_word_of_nginx(text in "\\PC*") {
        prop_assert_eq!(nginx_reads(&quoting::nginx_value(&text).expect("has a form")), Some(text));
    }

    #[test]
    fn any_printable_text_is_a_php_setting(text in "\\PC*") {
        prop_assume!(!text.contains("$pool"));
        let quoted = quoting::ini_value(&View::from(text.as_str())).expect("has a form");
        prop_assert_eq!(ini_reads(&quoted), Some(text));
    }

    #[test]
    fn control_characters_have_no_form(text in "[a-z]{0,4}[\\x00-\\x1f\\x7f][a-z]{0,4}") {
        prop_assert!(quoting::nginx_value(&text).is_err());
        prop_assert!(quoting::ini_value(&View::from(text.as_str())).is_err());
        prop_assert!(quoting::htpasswd_user(&text).is_err());
    }
}

/// A plan has a job for what is made of a template that changes, and for nothing else.
#[test]
fn each_template_makes_files_of_the_kind_that_it_is_said_to() {
    let mut production = Case::production();
    production.env["cache"] = json!({"object": true, "page": true});
    production.env["http"] =
        json!({"basic_auth": {"user": "u", "password": "secret:acme/staging"}});
    production.node["swap"] = json!("1GiB");
    // It has a file more than Debian.
    production.facts.distribution = "ubuntu".to_owned();
    production.node["patching"] = json!({"window": "sun 03:00-05:00 UTC", "reboot": "if-needed"});
    let text = |tree: &Tree| format!("{tree:?}");
    let (node, environment) = production.rendered().expect("renders");
    for name in Templates::names() {
        let own = format!(
            "{}{{{{ '# of the fleet' }}}}\n",
            templates::source(name).expect("is there")
        );
        let replaced = overriding(name, &own).expect("known");
        let (of_node, of_environment) = production.rendered_with(&replaced).expect("renders");
        let seen = Templates::fingerprints(&[(name.to_owned(), own)].into());
        let is_said = |kind| !seen.of(kind).is_empty();
        assert_eq!(
            text(&of_node) != text(&node),
            is_said(ResourceKind::Node),
            "{name}"
        );
        let differs = text(&of_environment) != text(&environment);
        assert_eq!(differs, is_said(ResourceKind::Env), "{name}");
    }
}

#[test]
fn what_takes_in_other_templates_depends_on_all_of_them() {
    let mut own = BTreeMap::from([("nginx/nginx.conf".to_owned(), "# own".to_owned())]);
    let count =
        |own: &BTreeMap<String, String>| Templates::fingerprints(own).of(ResourceKind::Env).len();
    assert_eq!(count(&own), 0);
    // The word alone is one of nginx, or of nobody.
    for (text, number) in [
        ("# important\ninclude /etc/nginx/x.conf; {{ import }}", 1),
        ("{% if included %}{% endif %}", 1),
        ("{%- include part %}", 2),
        ("{% from 'x' import y %}", 2),
    ] {
        own.insert("nginx/site.conf".to_owned(), text.to_owned());
        assert_eq!(count(&own), number, "{text}");
    }
}

#[test]
fn what_includes_a_replaced_template_is_rendered_in_bounds_with_it() {
    let templates = overriding("systemd/sandbox.conf", "# sandbox of our own\n").expect("known");
    let case = Case::production();
    let tree = case.environment_with(&templates).expect("renders");
    let units = tree.items.iter().filter_map(|item| item.content.as_deref());
    let own = units.filter(|text| text.contains("# sandbox of our own"));
    assert!(own.count() >= 2);
}

#[test]
fn only_files_that_nobody_else_may_read_have_secrets_to_show() {
    let case = Case::production();
    let mut shown = Vec::new();
    for path in Templates::names() {
        for text in ["{{ secrets.db_password }}", "{{ secrets.salts.AUTH_KEY }}"] {
            let templates = overriding(path, text).expect("known");
            let rendered = case.environment_with(&templates);
            let secrets = secrets();
            let has = |content: &str| {
                content.contains(&secrets.db_password)
                    || content.contains(&secrets.salts["AUTH_KEY"])
            };
            let Ok(tree) = rendered else { continue };
            for item in &tree.items {
                let is_own = item
                    .content
                    .as_deref()
                    .is_some_and(|content| content.len() < 40);
                if is_own && item.content.as_deref().is_some_and(has) {
                    assert!(
                        item.sensitive && item.mode != Some("0644"),
                        "{path}: {}",
                        item.path
                    );
                    shown.push(path);
                }
            }
        }
    }
    shown.dedup();
    assert_eq!(shown, ["wordpress/wp-config.php"]);
}

#[test]
fn an_error_of_a_template_that_sees_secrets_does_not_say_why() {
    let case = Case::production();
    let text = "a\n{% include secrets.db_password %}";
    let templates = overriding("wordpress/wp-config.php", text).expect("known");
    let refusal = case
        .environment_with(&templates)
        .expect_err("refused")
        .to_string();
    assert!(
        refusal.contains("line 2") && refusal.contains("not shown why"),
        "{refusal}"
    );
    assert!(!refusal.contains(&secrets().db_password), "{refusal}");
}
