//! Which job carries out which field: each leaf of a spec belongs to one aspect, and each
//! aspect to one job type.

use super::id::ResourceKind;
use super::job::JobType;

/// What a change of a field asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Aspect {
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

/// The aspect of the leaf at `path` of a resource of `kind`.
///
/// Domains are `DomainAdd` here; whether a name comes or goes is the planner's question.
#[must_use]
pub fn aspect_of(kind: ResourceKind, path: &[String]) -> Aspect {
    let first = path.first().map_or("", String::as_str);
    let second = path.get(1).map_or("", String::as_str);
    match kind {
        ResourceKind::Fleet => fleet(first),
        ResourceKind::Node => node(first, second),
        ResourceKind::Site => site(first),
        ResourceKind::Env => environment(first, second),
    }
}

fn fleet(field: &str) -> Aspect {
    match field {
        "preview" => Aspect::Fixed("the preview addresses of existing environments would change"),
        _ => Aspect::Record,
    }
}

fn node(field: &str, second: &str) -> Aspect {
    match (field, second) {
        ("name", _) => Aspect::Fixed("the name is the identity; use `moved`"),
        ("labels" | "drift" | "suspend" | "moved" | "state", _) | ("ssh", "key" | "host_key") => {
            Aspect::Record
        }
        _ => Aspect::Job(JobType::NodeProvision),
    }
}

fn site(field: &str) -> Aspect {
    match field {
        "name" => Aspect::Fixed("the name is the identity; use `moved`"),
        "node" => Aspect::Fixed("moving a site to another node copies its data"),
        "title" | "admin" | "locale" => Aspect::Job(JobType::EnvConfigure),
        "wordpress" | "plugins" | "themes" => Aspect::Job(JobType::EnvUpdate),
        "code" => Aspect::Job(JobType::EnvDeploy),
        "import" => Aspect::Job(JobType::SiteImport),
        _ => Aspect::Record,
    }
}

fn environment(field: &str, second: &str) -> Aspect {
    match (field, second) {
        ("site" | "name", _) => Aspect::Fixed("the name is the identity; use `moved`"),
        ("type", _) => Aspect::Fixed("an environment keeps its type"),
        ("from", _) => Aspect::Fixed("an environment keeps its source; use `sync` to refresh it"),
        ("node", _) => Aspect::Fixed("moving an environment to another node copies its data"),
        ("code", _) => Aspect::Job(JobType::EnvDeploy),
        ("sftp", _) => Aspect::Missing("users for SFTP are not made"),
        ("http", "waf") => Aspect::Missing("the web application firewall is not set up"),
        ("http", "hsts") => Aspect::Missing("sites are not served over TLS"),
        ("domains", _) => Aspect::Job(JobType::DomainAdd),
        ("cache", "purge") => Aspect::Job(JobType::CachePurge),
        ("cache", _) => Aspect::Job(JobType::EnvCacheToggle),
        ("promote", _) => Aspect::Job(JobType::EnvPromote),
        ("sync", _) => Aspect::Job(JobType::EnvSync),
        ("restore", _) => Aspect::Job(JobType::EnvRestore),
        ("expires" | "backups" | "promotion" | "health", _)
        | ("drift" | "protect" | "suspend" | "moved", _) => Aspect::Record,
        _ => Aspect::Job(JobType::EnvConfigure),
    }
}

/// Whether the creation of a resource carries out this aspect too, so that no job of its own
/// is needed.
#[must_use]
pub fn comes_with_creation(kind: ResourceKind, aspect: Aspect, path: &[String]) -> bool {
    match aspect {
        Aspect::Record | Aspect::Fixed(_) => true,
        Aspect::Job(JobType::NodeProvision | JobType::EnvConfigure) => true,
        // The release that a site starts with is the version that it asks for.
        Aspect::Job(JobType::EnvUpdate) => {
            kind == ResourceKind::Site && path.first().is_some_and(|field| field == "wordpress")
        }
        Aspect::Job(_) | Aspect::Missing(_) => false,
    }
}
