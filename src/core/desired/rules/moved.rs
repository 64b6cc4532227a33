//! A resource that moved has left its old id.

use std::collections::HashMap;

use super::Index;
use crate::core::desired::Source;
use crate::core::desired::findings::{Findings, fields};
use crate::core::desired::{HasSpec, Resource};
use crate::core::document::Moved;
use crate::core::id::ResourceId;

pub(super) fn check(index: &Index<'_>, findings: &mut Findings) {
    let mut seen = HashMap::new();
    for node in &index.draft.nodes {
        one(index, node, node.value.moved.as_ref(), &mut seen, findings);
    }
    for site in &index.draft.sites {
        one(index, site, site.value.moved.as_ref(), &mut seen, findings);
    }
    for environment in &index.draft.environments {
        one(
            index,
            environment,
            environment.value.moved.as_ref(),
            &mut seen,
            findings,
        );
    }
}

fn one<'a, T: HasSpec>(
    index: &Index<'_>,
    resource: &'a Resource<T>,
    moved: Option<&Moved>,
    seen: &mut HashMap<ResourceId, &'a Source>,
    findings: &mut Findings,
) {
    let Some(from) = moved.and_then(|moved| moved.from.id()) else {
        return;
    };
    let source = &resource.source;
    let id = resource.id();
    let at = || fields(["moved", "from"]);
    if from.kind() != id.kind() {
        findings
            .error(
                source,
                at(),
                "moved-kind",
                format!("`{from}` is not of the kind of `{id}`"),
            )
            .hint(format!("write the id that it had: `{}/…`", id.kind()));
        return;
    }
    if !is_of_the_same_site(index, &id, &from) {
        findings
            .error(
                source,
                at(),
                "moved-site",
                format!("`{from}` belongs to another site than `{id}`"),
            )
            .hint(
                "an environment stays with its site; a site that was renamed says so with `moved`",
            );
        return;
    }
    if exists(index, &from) {
        let (message, hint) = if from == id {
            (
                format!("`{id}` is said to have moved from itself"),
                "write the id that it had before",
            )
        } else {
            (
                format!("`{from}`, from which `{id}` moved, still exists"),
                "remove its document",
            )
        };
        findings
            .error(source, at(), "moved-from-exists", message)
            .hint(hint);
        return;
    }
    if let Some(first) = seen.get(&from) {
        findings
            .error(
                source,
                at(),
                "moved-twice",
                format!("`{from}` cannot have moved to two places"),
            )
            .hint(format!("the other one is at {}:{}", first.file, first.line));
        return;
    }
    seen.insert(from, source);
}

/// Whether an environment comes from its own site, by the name that this has or had.
fn is_of_the_same_site(index: &Index<'_>, id: &ResourceId, from: &ResourceId) -> bool {
    let (ResourceId::Env { site, .. }, ResourceId::Env { site: before, .. }) = (id, from) else {
        return true;
    };
    let had = index.sites.get(site.as_str());
    let had = had.and_then(|site| site.value.moved.as_ref()?.from.id());
    site == before || had == Some(ResourceId::Site(before.clone()))
}

fn exists(index: &Index<'_>, id: &ResourceId) -> bool {
    match id {
        ResourceId::Fleet => true,
        ResourceId::Node(name) => index.nodes.contains_key(name.as_str()),
        ResourceId::Site(name) => index.sites.contains_key(name.as_str()),
        ResourceId::Env { site, name } => index.environment(site, name).is_some(),
    }
}
