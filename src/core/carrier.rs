//! Who carries out which field: each leaf of a spec has exactly one owner.
//!
//! A field that nobody carries out must not be recorded as done. So there is no rule for "all others": a test walks the
//! schemas and fails for a leaf that no table names, and a leaf that is in none is missing.

use std::borrow::Borrow;
use std::sync::LazyLock;

use serde_json::Value;

use super::desired::plain;
use super::fast_map::HashMap;
use super::fingerprint::TEMPLATES;
use super::id::ResourceKind;
use super::job::JobType;
use super::job_kind::maker_of;
use super::spec::Spec;

use Carrier::{Fixed, Job, Missing, Record};

/// Who carries out a change of a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Carrier {
    /// Carried out by a job of this type.
    Job(JobType),
    /// Only the control plane acts on it, so recording it is all there is to do.
    Record,
    /// Cannot change once the resource exists; the text says why.
    Fixed(&'static str),
    /// Nothing carries this out yet, so it must not be recorded as done; the text says what
    /// is missing.
    Missing(&'static str),
}

const IDENTITY: Carrier = Fixed("the name is the identity; use `moved`");
const PROVISION: Carrier = Job(JobType::NodeProvision);
const CONFIGURE: Carrier = Job(JobType::EnvConfigure);
const DEPLOY: Carrier = Job(JobType::EnvDeploy);
const UPDATE: Carrier = Job(JobType::EnvUpdate);
const IMPORT: Carrier = Job(JobType::SiteImport);
const CACHE: Carrier = Job(JobType::EnvCacheToggle);
const PROMOTE: Carrier = Job(JobType::EnvPromote);
const SYNC: Carrier = Job(JobType::EnvSync);
const RESTORE: Carrier = Job(JobType::EnvRestore);

const NO_CERTIFICATES: Carrier = Missing("certificates are not obtained");
const NO_BACKUPS: Carrier = Missing("backups are not made");
const NO_HOOKS: Carrier = Missing("playbooks of the fleet repo are not run");
const NO_REMOVAL: Carrier = Missing("nothing is destroyed");
const NO_ROLLOUT: Carrier = Missing("changes are not spread over steps");
const NO_MIRROR: Carrier = Missing("plugins are not installed");
const NO_UPDATES: Carrier = Missing("WordPress is not updated on its own");
const NO_EXPIRY: Carrier = Missing("environments are not ended on their own");
const NO_PROMOTION: Carrier = Missing("nothing is promoted");
const NO_SFTP: Carrier = Missing("users for SFTP are not made");
const NO_FIREWALL: Carrier = Missing("the web application firewall is not set up");
const NO_TLS: Carrier = Missing("sites are not served over TLS");

/// The leaves of a kind. What stands for a map of the operator's own names, or for a list, is one leaf.
type Table = &'static [(&'static str, Carrier)];

const FLEET: Table = &[
    ("acme.directory", NO_CERTIFICATES),
    ("acme.email", NO_CERTIFICATES),
    ("ansible.engine", Record),
    ("backups.credentials", NO_BACKUPS),
    ("backups.password", NO_BACKUPS),
    ("backups.repository", NO_BACKUPS),
    ("deny_plugins", Record),
    ("hooks", NO_HOOKS),
    ("name", Record),
    ("notify", Record),
    ("ownership.by_path", Record),
    ("preview.dns01.credentials", NO_CERTIFICATES),
    ("preview.dns01.provider", NO_CERTIFICATES),
    (
        "preview.domain",
        Fixed("the preview addresses of existing environments would change"),
    ),
    ("reconcile.drift", Record),
    ("reconcile.interval", Record),
    ("reconcile.max_destroy.count", NO_REMOVAL),
    ("reconcile.max_destroy.percent", NO_REMOVAL),
    ("reconcile.max_parallel_nodes", Record),
    ("reconcile.prune", NO_REMOVAL),
    ("reconcile.windows", Record),
    ("rollout.batch", NO_ROLLOUT),
    ("rollout.canary", NO_ROLLOUT),
    ("rollout.max_failures", NO_ROLLOUT),
    ("rollout.soak", NO_ROLLOUT),
    ("secrets.grants", Record),
    ("secrets.recipients", Record),
    // Environments follow a change of it.
    ("sources.languages", Record),
    // As WordPress and WP-CLI: the next job of an environment, or a look at it, uses another one.
    ("sources.object_cache.path", Record),
    ("sources.object_cache.sha256", Record),
    ("sources.object_cache.sha512", Record),
    ("sources.object_cache.url", Record),
    ("sources.plugins", NO_MIRROR),
    ("sources.wordpress.path", Record),
    ("sources.wordpress.sha256", Record),
    ("sources.wordpress.sha512", Record),
    ("sources.wordpress.url", Record),
    ("sources.wp_cli.path", Record),
    ("sources.wp_cli.sha256", Record),
    ("sources.wp_cli.sha512", Record),
    ("sources.wp_cli.url", Record),
    ("version", Record),
];

const NODE: Table = &[
    ("database.buffer_pool", PROVISION),
    ("drift", Record),
    ("fail2ban.allow", PROVISION),
    ("firewall.open", PROVISION),
    ("firewall.ssh_allow", PROVISION),
    ("host", PROVISION),
    ("labels", Record),
    ("name", IDENTITY),
    ("patching.hold", PROVISION),
    ("patching.reboot", PROVISION),
    ("patching.window", PROVISION),
    ("php.opcache", PROVISION),
    ("php.ram_budget", Record),
    ("php.versions", PROVISION),
    ("public_ip", PROVISION),
    ("redis.maxmemory", PROVISION),
    ("ssh.host_key", Record),
    ("ssh.key", Record),
    ("ssh.port", PROVISION),
    ("ssh.user", PROVISION),
    // `drained` holds new work back, which the planner does; only `absent` asks for more.
    ("state", NO_REMOVAL),
    ("suspend", Record),
    ("swap", PROVISION),
];

const FIRST_ADMINISTRATOR: Carrier =
    Fixed("the first administrator is made with the site; change the account in WordPress");

const SITE: Table = &[
    ("admin.email", FIRST_ADMINISTRATOR),
    ("admin.user", FIRST_ADMINISTRATOR),
    ("code.build", DEPLOY),
    ("code.git", DEPLOY),
    ("code.keep_releases", DEPLOY),
    ("code.path", DEPLOY),
    ("code.ref", DEPLOY),
    ("code.shared", DEPLOY),
    ("import.archive", IMPORT),
    ("import.sha256", IMPORT),
    ("import.token", IMPORT),
    ("locale", CONFIGURE),
    ("name", IDENTITY),
    (
        "node",
        Fixed("moving a site to another node copies its data"),
    ),
    ("plugins", UPDATE),
    ("protect", Record),
    ("suspend", Record),
    ("themes", UPDATE),
    ("title", CONFIGURE),
    ("updates.exclude", NO_UPDATES),
    ("updates.gate", NO_UPDATES),
    ("updates.scope", NO_UPDATES),
    ("updates.window", NO_UPDATES),
    ("wordpress.version", UPDATE),
];

const ENVIRONMENT: Table = &[
    ("backups.keep.daily", NO_BACKUPS),
    ("backups.keep.monthly", NO_BACKUPS),
    ("backups.keep.weekly", NO_BACKUPS),
    ("backups.schedule", NO_BACKUPS),
    ("backups.scope", NO_BACKUPS),
    ("backups.verify", NO_BACKUPS),
    ("cache.bypass_cookies", CACHE),
    ("cache.bypass_paths", CACHE),
    ("cache.object", CACHE),
    ("cache.page", CACHE),
    ("cache.purge.token", Job(JobType::CachePurge)),
    ("cache.ttl", CACHE),
    ("code.ref", DEPLOY),
    ("constants", CONFIGURE),
    ("cron.interval", CONFIGURE),
    // Whether a name comes or goes is the planner's question.
    ("domains", Job(JobType::DomainAdd)),
    ("drift", Record),
    ("expires", NO_EXPIRY),
    (
        "from",
        Fixed("an environment keeps its source; use `sync` to refresh it"),
    ),
    ("health.expect", Record),
    ("health.paths", Record),
    ("health.schedule", Record),
    ("health.timeout", Record),
    ("http.basic_auth.password", CONFIGURE),
    ("http.basic_auth.user", CONFIGURE),
    ("http.headers", CONFIGURE),
    ("http.hsts", NO_TLS),
    ("http.ip_allow", CONFIGURE),
    ("http.rate_limit", CONFIGURE),
    ("http.redirects", CONFIGURE),
    ("http.waf.exclude", NO_FIREWALL),
    ("http.waf.mode", NO_FIREWALL),
    ("http.xmlrpc", CONFIGURE),
    ("maintenance", CONFIGURE),
    ("name", IDENTITY),
    (
        "node",
        Fixed("moving an environment to another node copies its data"),
    ),
    ("options", CONFIGURE),
    ("php.ini", CONFIGURE),
    ("php.memory", CONFIGURE),
    ("php.version", CONFIGURE),
    ("php.workers", CONFIGURE),
    ("promote.to", PROMOTE),
    ("promote.token", PROMOTE),
    ("promotion.paths", NO_PROMOTION),
    ("promotion.preset", NO_PROMOTION),
    ("promotion.tables", NO_PROMOTION),
    ("protect", Record),
    ("restore.backup", RESTORE),
    ("restore.token", RESTORE),
    ("safety.basic_auth", CONFIGURE),
    ("safety.mail", CONFIGURE),
    ("safety.noindex", CONFIGURE),
    ("safety.outbound_http", CONFIGURE),
    ("safety.uploads", CONFIGURE),
    ("sftp", NO_SFTP),
    ("site", IDENTITY),
    ("suspend", Record),
    ("sync.db", SYNC),
    ("sync.files", SYNC),
    ("sync.from", SYNC),
    ("sync.scrub", SYNC),
    ("sync.token", SYNC),
    ("type", Fixed("an environment keeps its type")),
];

/// What environments see of the fleet, the node or the site that they are in, in the files and settings that are made
/// for them.
#[must_use]
pub fn seen_by_environments(kind: ResourceKind) -> &'static [&'static str] {
    match kind {
        ResourceKind::Node => &[
            "host",
            "php.opcache",
            "php.versions",
            "public_ip",
            "redis.maxmemory",
        ],
        ResourceKind::Site => &["locale"],
        ResourceKind::Fleet => &["sources.languages"],
        ResourceKind::Env => &[],
    }
}

fn table(kind: ResourceKind) -> Table {
    match kind {
        ResourceKind::Fleet => FLEET,
        ResourceKind::Node => NODE,
        ResourceKind::Site => SITE,
        ResourceKind::Env => ENVIRONMENT,
    }
}

/// The carrier of the leaf at `path` of a resource of `kind`.
#[must_use]
pub fn carrier_of<S: Borrow<str>>(kind: ResourceKind, path: &[S]) -> Carrier {
    if path
        .first()
        .is_some_and(|first| first.borrow() == TEMPLATES)
    {
        // No field: what the files are made of, so whoever makes all of them.
        return match kind {
            ResourceKind::Node => PROVISION,
            ResourceKind::Env => CONFIGURE,
            ResourceKind::Fleet | ResourceKind::Site => Record,
        };
    }
    // Every leaf of every schema has its owner; another one is what an earlier version recorded, and only goes.
    owners(kind, path).last().unwrap_or(Record)
}

/// The carriers of the entries that are about a leaf: the map that it is in, and then the one of its own name.
pub fn owners<S: Borrow<str>>(kind: ResourceKind, path: &[S]) -> impl Iterator<Item = Carrier> {
    // In the order of the kinds.
    static TREES: LazyLock<Vec<Entry>> = LazyLock::new(|| {
        ResourceKind::ALL
            .iter()
            .map(|kind| Entry::of(table(*kind)))
            .collect()
    });
    let mut at = TREES.get(kind as usize);
    path.iter()
        .map_while(move |part| {
            at = at?.below.get(part.borrow());
            Some(at?.carrier)
        })
        .flatten()
}

/// A table by the keys of its names: a plan of a large fleet asks a million times.
#[derive(Default)]
struct Entry {
    carrier: Option<Carrier>,
    below: HashMap<&'static str, Entry>,
}

impl Entry {
    fn of(table: Table) -> Self {
        let mut root = Self::default();
        for (name, carrier) in table {
            let mut at = &mut root;
            for key in name.split('.') {
                at = at.below.entry(key).or_default();
            }
            at.carrier = Some(*carrier);
        }
        root
    }
}

/// Whether a spec asks for anything by a leaf that a job carries out, or that nothing does. What asks for nothing, or
/// for what there is without it, only needs to be recorded.
#[must_use]
pub fn asks_for_something<S: Borrow<str>>(
    kind: ResourceKind,
    path: &[S],
    carrier: Carrier,
    spec: &Spec,
) -> bool {
    let key = |at: usize| path.get(at).map(|key| -> &str { key.borrow() });
    let keys = (key(0), key(1), key(2));
    let differs = |name: &&str| {
        let value = spec.get(name);
        value.is_some_and(|value| !is_nothing(value)) && value != plain(kind).get(name)
    };
    if (kind, keys) == (ResourceKind::Node, (Some("state"), None, None)) {
        return spec.str("state") == Some("absent");
    }
    // Settings of what is off.
    let switches: &[&str] = match (kind, keys) {
        (ResourceKind::Env, (Some("backups"), ..)) => &["backups.schedule"],
        (ResourceKind::Env, (Some("http"), Some("waf"), Some("exclude"))) => &["http.waf.mode"],
        (ResourceKind::Env, (Some("cache"), Some("purge"), Some("token"))) => &[],
        (ResourceKind::Env, (Some("cache"), ..)) => &["cache.page", "cache.object"],
        (ResourceKind::Site, (Some("updates"), ..)) => &["updates.scope"],
        // A site without a repository runs WordPress's own release, whatever `ref` says.
        (ResourceKind::Site, (Some("code"), ..)) => &["code.git"],
        _ => &[],
    };
    match (switches, carrier) {
        ([], Missing(_)) => differs(&path.join(".").as_str()),
        ([], _) => true,
        (switches, _) => switches.iter().any(differs),
    }
}

/// Values that ask for nothing: an empty list, a switch that is off.
#[must_use]
pub fn is_nothing(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => true,
        Value::Array(elements) => elements.is_empty(),
        Value::Object(map) => map.is_empty(),
        Value::Bool(true) | Value::Number(_) | Value::String(_) => false,
    }
}

/// Whether the creation of a resource carries out this carrier too, so that no job of its own
/// is needed.
#[must_use]
pub fn comes_with_creation<S: Borrow<str>>(
    kind: ResourceKind,
    carrier: Carrier,
    path: &[S],
) -> bool {
    match carrier {
        Record | Fixed(_) => true,
        // What is done once to a resource has nothing to do for one that is new.
        Job(job_type) if job_type.token_field().is_some() => true,
        Job(job_type) => maker_of(kind).and_then(JobType::kind).is_some_and(|maker| {
            let fields = maker.carries_fields_when_made.iter();
            let mut fields = fields.filter(|(of, _)| *of == kind);
            maker.carries_when_made.contains(&job_type)
                || fields.any(|(_, field)| path.join(".") == *field)
        }),
        Missing(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::document::{DocumentKind, schema};

    #[test]
    fn every_leaf_of_every_schema_has_exactly_one_owner() {
        for (document, kind) in [
            (DocumentKind::Fleet, ResourceKind::Fleet),
            (DocumentKind::Node, ResourceKind::Node),
            (DocumentKind::Site, ResourceKind::Site),
            (DocumentKind::Environment, ResourceKind::Env),
        ] {
            let leaves = schema::leaves(document);
            assert!(leaves.iter().all(|leaf| leaf[0] != TEMPLATES));
            assert!(leaves.len() > 20, "{document}: {leaves:?}");
            for leaf in &leaves {
                let owners = owners(kind, leaf).count();
                assert_eq!(owners, 1, "`{}` of {document}", leaf.join("."));
            }
            // And no entry is about a field that is gone.
            let names: Vec<String> = leaves.iter().map(|leaf| leaf.join(".")).collect();
            let mut listed: Vec<&str> = table(kind).iter().map(|(name, _)| *name).collect();
            assert!(listed.is_sorted(), "{document}");
            listed.retain(|name| !names.iter().any(|known| known == name));
            assert_eq!(listed, Vec::<&str>::new(), "{document}");
        }
    }

    #[test]
    fn plain_documents_ask_for_nothing_that_is_missing() {
        for kind in ResourceKind::ALL {
            let spec = plain(*kind);
            assert!(spec.fields().len() > 1, "{kind:?}: {spec:?}");
            for (leaf, _) in crate::core::leaf::leaves(spec.fields()) {
                let carrier = carrier_of(*kind, &leaf);
                let is_missing = matches!(carrier, Missing(_));
                assert!(
                    !is_missing || !asks_for_something(*kind, &leaf, carrier, spec),
                    "{leaf:?}"
                );
            }
        }
    }

    #[test]
    fn what_is_in_a_map_of_its_own_names_belongs_to_the_map() {
        let path = ["php", "ini", "session.gc"].map(str::to_owned);
        assert_eq!(carrier_of(ResourceKind::Env, &path), CONFIGURE);
        let old = ["sources", "wordpress"].map(str::to_owned);
        assert_eq!(carrier_of(ResourceKind::Fleet, &old), Record);
    }
}
