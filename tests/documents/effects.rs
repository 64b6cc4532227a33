//! `docs/effects.md` says of each field who carries it out, and which test sees that it has an effect.

use std::fmt::Write as _;

use pressluft::core::carrier::{Carrier, carrier_of, comes_with_creation, seen_by_environments};
use pressluft::core::document::{DocumentKind, schema};
use pressluft::core::id::ResourceKind;

use crate::repository::{compare, path};

const MARK: &str = "<!-- generated below this line -->\n";
const EFFECTS: &str = "tests/hosts/effects.rs";
const CACHES: &str = "tests/hosts/caches.rs";

/// Where the effect of a field is seen: the field, or the beginning of several, with the file and the function.
const SEEN: &[(&str, &str, &str)] = &[
    ("node database.buffer_pool", EFFECTS, "the_node_is_as_asked"),
    ("node fail2ban.allow", EFFECTS, "the_node_is_as_asked"),
    ("node firewall.open", EFFECTS, "the_node_is_as_asked"),
    ("node firewall.ssh_allow", EFFECTS, "the_node_is_as_asked"),
    ("node host", "tests/hosts/converge.rs", "answers"),
    ("node patching.hold", EFFECTS, "the_node_is_as_asked"),
    ("node patching.reboot", EFFECTS, "the_node_is_as_asked"),
    ("node patching.window", EFFECTS, "the_node_is_as_asked"),
    ("node php.opcache", EFFECTS, "php_runs_as_asked"),
    (
        "node redis.maxmemory",
        CACHES,
        "objects_are_kept_and_flushed",
    ),
    (
        "node ssh.user",
        "tests/boundaries/node.rs",
        "an_upload_is_root_s_whoever_logs_in",
    ),
    (
        "fleet sources.languages",
        "tests/hosts/languages.rs",
        "the_site_speaks_its_language",
    ),
    (
        "site locale",
        "tests/hosts/languages.rs",
        "the_site_speaks_its_language",
    ),
    ("site title", EFFECTS, "wordpress_is_as_asked"),
    (
        "env cache.bypass_cookies",
        CACHES,
        "what_the_document_names_is_never_cached",
    ),
    (
        "env cache.bypass_paths",
        CACHES,
        "what_the_document_names_is_never_cached",
    ),
    ("env cache.object", CACHES, "objects_are_kept_and_flushed"),
    (
        "env cache.page",
        CACHES,
        "guests_share_pages_and_nobody_else_does",
    ),
    (
        "env cache.purge.token",
        CACHES,
        "objects_are_kept_and_flushed",
    ),
    ("env cache.ttl", CACHES, "a_page_outlives_its_site"),
    ("env constants", EFFECTS, "wordpress_is_as_asked"),
    ("env cron.interval", EFFECTS, "wordpress_is_as_asked"),
    (
        "env http.basic_auth",
        EFFECTS,
        "the_web_server_answers_as_asked",
    ),
    (
        "env http.headers",
        EFFECTS,
        "the_web_server_answers_as_asked",
    ),
    (
        "env http.ip_allow",
        EFFECTS,
        "the_web_server_answers_as_asked",
    ),
    (
        "env http.rate_limit",
        EFFECTS,
        "the_web_server_answers_as_asked",
    ),
    (
        "env http.redirects",
        EFFECTS,
        "the_web_server_answers_as_asked",
    ),
    (
        "env http.xmlrpc",
        EFFECTS,
        "the_web_server_answers_as_asked",
    ),
    (
        "env maintenance",
        EFFECTS,
        "visitors_see_the_maintenance_page",
    ),
    ("env options", EFFECTS, "wordpress_is_as_asked"),
    ("env php.ini", EFFECTS, "php_runs_as_asked"),
    ("env php.memory", EFFECTS, "php_runs_as_asked"),
    ("env php.workers", EFFECTS, "php_runs_as_asked"),
    (
        "env safety.basic_auth",
        "tests/hosts/converge.rs",
        "answers",
    ),
    ("env safety.mail", EFFECTS, "wordpress_is_as_asked"),
    (
        "env safety.noindex",
        EFFECTS,
        "the_web_server_answers_as_asked",
    ),
    ("env safety.outbound_http", EFFECTS, "wordpress_is_as_asked"),
    (
        "env safety.uploads",
        EFFECTS,
        "a_copy_reads_uploads_of_its_source",
    ),
];

/// What no test here can show, and why.
const NOT_SEEN: &[(&str, &str)] = &[
    ("node php.versions", "the distribution has one version"),
    ("node public_ip", "test hosts have one address"),
    ("node ssh.port", "sshd is moved by hand first"),
    ("node swap", "test hosts share the machine's swap"),
    ("env php.version", "the distribution has one version"),
];

#[test]
fn every_field_that_is_carried_out_has_an_effect_that_is_seen() {
    let file = std::fs::read_to_string(path("docs/effects.md")).expect("the page is there");
    let (head, _) = file.split_once(MARK).expect("the page has its mark");
    let mut text = format!("{head}{MARK}");
    for (document, kind) in [
        (DocumentKind::Fleet, ResourceKind::Fleet),
        (DocumentKind::Node, ResourceKind::Node),
        (DocumentKind::Site, ResourceKind::Site),
        (DocumentKind::Environment, ResourceKind::Env),
    ] {
        write!(text, "\n## {document}\n\n").expect("a string takes everything");
        text.push_str("| Field | Carried out by | Seen by |\n|---|---|---|\n");
        for leaf in schema::leaves(document) {
            let row = row(kind, &leaf);
            writeln!(text, "| `{}` | {row} |", leaf.join(".")).expect("a string takes everything");
        }
    }
    compare("docs/effects.md", &text);
}

#[test]
fn every_test_that_is_named_is_there() {
    for (field, file, function) in SEEN {
        let code = std::fs::read_to_string(path(file)).unwrap_or_default();
        assert!(
            code.contains(&format!("fn {function}(")),
            "{field}: {file}: {function}"
        );
    }
}

fn row(kind: ResourceKind, leaf: &[String]) -> String {
    let name = format!("{} {}", kind.as_str(), leaf.join("."));
    let is_about = |field: &str| name == field || name.starts_with(&format!("{field}."));
    let seen = SEEN.iter().find(|(field, ..)| is_about(field));
    let not_seen = NOT_SEEN.iter().find(|(field, _)| is_about(field));
    let carrier = carrier_of(kind, leaf);
    let is_followed = seen_by_environments(kind).contains(&leaf.join(".").as_str());
    let shown = || match (seen, not_seen) {
        (Some((_, file, function)), None) => format!("`{file}: {function}`"),
        (None, Some((_, why))) => format!("not here: {why}"),
        _ => panic!("`{name}` has no test, or two answers: add it to this file"),
    };
    let comes_with_creation = comes_with_creation(kind, carrier, leaf);
    match carrier {
        Carrier::Job(job) if job.kind().is_none() && comes_with_creation => {
            format!("its creation; a change is blocked: `{job}` cannot be run yet | ")
        }
        Carrier::Job(job) if job.kind().is_none() => {
            format!("blocked: `{job}` cannot be run yet | ")
        }
        Carrier::Missing(what) => format!("blocked, where it asks for something: {what} | "),
        Carrier::Record if is_followed => {
            format!(
                "recorded, and `env_configure` of those that see it | {}",
                shown()
            )
        }
        Carrier::Record => "recorded: the control plane alone acts on it | ".to_owned(),
        Carrier::Fixed(why) => format!("its creation; fixed then: {why} | "),
        Carrier::Job(job) => format!("`{job}` | {}", shown()),
    }
}
