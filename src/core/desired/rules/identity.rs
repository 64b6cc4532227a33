//! Ids are unique.

use std::collections::HashMap;
use std::hash::Hash;

use super::Draft;
use crate::core::desired::findings::{Findings, fields};
use crate::core::desired::{HasSpec, Resource, Source};

pub(super) fn check(draft: &Draft, findings: &mut Findings) {
    unique(&draft.nodes, |node| node.name.as_str(), findings);
    unique(&draft.sites, |site| site.name.as_str(), findings);
    unique(
        &draft.environments,
        |env| (env.site.as_str(), env.name.as_str()),
        findings,
    );
}

fn unique<'a, T: HasSpec, K: Eq + Hash>(
    resources: &'a [Resource<T>],
    key: impl Fn(&'a T) -> K,
    findings: &mut Findings,
) {
    let mut seen: HashMap<K, &Source> = HashMap::with_capacity(resources.len());
    for resource in resources {
        let source = &resource.source;
        let Some(first) = seen.insert(key(&resource.value), source) else {
            continue;
        };
        seen.insert(key(&resource.value), first);
        let id = resource.id();
        findings
            .error(
                source,
                fields(["name"]),
                "duplicate-id",
                format!("there is a second `{id}`"),
            )
            .hint(format!("the first one is at {}:{}", first.file, first.line));
    }
}
