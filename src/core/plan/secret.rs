//! Secret references in specs: finding them, noticing that a value changed behind a reference,
//! and keeping both out of the output.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::core::change::{Change, SENSITIVE, SpecPatch};
use crate::core::document::scalar::SECRET_PREFIX as PREFIX;
use crate::core::id::ResourceKind;
use crate::core::job::JobType;
use crate::core::job_kind::Secrets;
use crate::core::leaf::leaves;
use crate::core::spec::Spec;

/// What a secret is needed for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Need {
    /// To reach a node: no play is handed it.
    Connection,
    /// To look at pages that ask for a password.
    Login,
    /// A setting of the resource.
    Setting,
}

/// A secret that a spec refers to.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Use {
    pub name: String,
    pub need: Need,
}

/// The secrets that the spec of a resource of `kind` refers to, sorted.
#[must_use]
pub fn uses(kind: ResourceKind, spec: &Spec) -> Vec<Use> {
    let mut uses = Vec::new();
    for (key, value) in spec.fields() {
        collect_uses(kind, value, &mut vec![key.as_str()], &mut uses);
    }
    uses.sort();
    uses.dedup();
    uses
}

/// The same for what a patch makes of nothing.
#[must_use]
pub fn uses_of_new(kind: ResourceKind, patch: &SpecPatch) -> Vec<Use> {
    let mut uses = Vec::new();
    for leaf in patch.set.iter().filter(|leaf| refers(&leaf.1)) {
        let mut path = leaf.0.iter().map(String::as_str).collect();
        collect_uses(kind, &leaf.1, &mut path, &mut uses);
    }
    uses.sort();
    uses.dedup();
    uses
}

fn collect_uses<'a>(
    kind: ResourceKind,
    value: &'a Value,
    path: &mut Vec<&'a str>,
    uses: &mut Vec<Use>,
) {
    match value {
        Value::String(text) => uses.extend(text.strip_prefix(PREFIX).map(|name| Use {
            name: name.to_owned(),
            need: need_of(kind, path),
        })),
        Value::Array(elements) => {
            for element in elements {
                collect_uses(kind, element, path, uses);
            }
        }
        Value::Object(map) => {
            for (key, value) in map {
                path.push(key);
                collect_uses(kind, value, path, uses);
                path.pop();
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

fn need_of(kind: ResourceKind, path: &[&str]) -> Need {
    match (kind, path) {
        (ResourceKind::Node, ["ssh", "key"]) => Need::Connection,
        (ResourceKind::Env, ["http", "basic_auth", "password"] | ["safety", "basic_auth"]) => {
            Need::Login
        }
        _ => Need::Setting,
    }
}

/// Whether a job concerns what a resource of `kind` needs in this way: its play is handed it, or
/// could come across it. `job_type` is the one that the job acts as.
#[must_use]
pub fn concerns(job_type: JobType, kind: ResourceKind, need: Need) -> bool {
    let Some(of_job) = job_type.kind() else {
        return false;
    };
    match (kind, of_job.secrets) {
        (ResourceKind::Fleet, _) => false,
        (ResourceKind::Node, Secrets::OfNode) => need != Need::Connection,
        (ResourceKind::Node, Secrets::OfEnvironment | Secrets::LoginOfEnvironment)
        | (ResourceKind::Site | ResourceKind::Env, Secrets::OfNode) => false,
        (
            ResourceKind::Site | ResourceKind::Env,
            Secrets::OfEnvironment | Secrets::LoginOfEnvironment,
        ) => true,
    }
}

/// Whether the play of a job is handed what a resource of `kind` needs in this way.
#[must_use]
pub fn is_handed(job_type: JobType, kind: ResourceKind, need: Need) -> bool {
    let secrets = job_type.kind().map(|kind| kind.secrets);
    let is_login_alone = secrets == Some(Secrets::LoginOfEnvironment);
    concerns(job_type, kind, need) && (!is_login_alone || need == Need::Login)
}

/// Whether `value` refers to a secret.
fn refers(value: &Value) -> bool {
    match value {
        Value::String(text) => text.starts_with(PREFIX),
        Value::Array(elements) => elements.iter().any(refers),
        Value::Object(map) => map.values().any(refers),
        Value::Null | Value::Bool(_) | Value::Number(_) => false,
    }
}

/// The names of the secrets that `value` refers to, in order.
#[must_use]
pub fn references(value: &Value) -> Vec<&str> {
    let mut names = Vec::new();
    collect(value, &mut names);
    names
}

fn collect<'a>(value: &'a Value, names: &mut Vec<&'a str>) {
    match value {
        Value::String(text) => names.extend(text.strip_prefix(PREFIX)),
        Value::Array(elements) => elements.iter().for_each(|element| collect(element, names)),
        Value::Object(map) => map.values().for_each(|element| collect(element, names)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// The keyed hash behind every leaf of `spec` that refers to secrets, by dotted path. A secret
/// that is not stored counts as `missing`, so that storing it is a change.
#[must_use]
pub fn fingerprints(spec: &Spec, known: &BTreeMap<String, String>) -> BTreeMap<String, String> {
    if !spec.fields().values().any(refers) {
        return BTreeMap::new();
    }
    leaves(spec.fields())
        .into_iter()
        .filter_map(|(path, value)| {
            let names = references(value);
            (!names.is_empty()).then(|| {
                let parts: Vec<&str> = names
                    .iter()
                    .map(|name| known.get(*name).map_or("missing", String::as_str))
                    .collect();
                (path.join("."), parts.join(","))
            })
        })
        .collect()
}

/// A change behind a reference that itself stayed the same.
#[must_use]
pub fn rotated(path: &str) -> Change {
    Change::new(path, Value::from(SENSITIVE), Value::from(SENSITIVE))
}

/// The change with every reference hidden, except where one reference replaces another: then
/// the two names are what the reader needs.
#[must_use]
pub fn masked(change: Change) -> Change {
    let is_reference = |value: &Value| value.as_str().is_some_and(|text| text.starts_with(PREFIX));
    if is_reference(&change.before) && is_reference(&change.after) {
        return change;
    }
    Change {
        before: mask(change.before),
        after: mask(change.after),
        ..change
    }
}

fn mask(value: Value) -> Value {
    match value {
        Value::String(text) if text.starts_with(PREFIX) => Value::from(SENSITIVE),
        Value::Array(elements) => Value::Array(elements.into_iter().map(mask).collect()),
        Value::Object(map) => Value::Object(
            map.into_iter()
                .map(|(key, value)| (key, mask(value)))
                .collect(),
        ),
        other => other,
    }
}
