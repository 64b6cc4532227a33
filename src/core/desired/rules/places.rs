//! Documents stand where their owners may write, where the fleet asks for that.
//!
//! A git host asks for approvals by path. That holds only when what a path may say is bounded: who
//! may change `sites/acme/` must not write a node, or another site, there.

use super::Draft;
use crate::core::desired::findings::{Findings, fields};
use crate::core::desired::{HasSpec, Resource};
use crate::core::id::ResourceId;

pub(super) fn check(draft: &Draft, findings: &mut Findings) {
    let fleet = draft.fleet.as_ref();
    if !fleet.is_some_and(|fleet| fleet.value.ownership.by_path) {
        return;
    }
    let nodes = draft.nodes.iter();
    nodes.for_each(|node| in_place(node, findings));
    let sites = draft.sites.iter();
    sites.for_each(|site| in_place(site, findings));
    let environments = draft.environments.iter();
    environments.for_each(|environment| in_place(environment, findings));
}

fn in_place<T: HasSpec>(resource: &Resource<T>, findings: &mut Findings) {
    let id = resource.id();
    let Some(place) = place(&id) else { return };
    if is_below(&resource.source.file, &place) {
        return;
    }
    findings
        .error(
            &resource.source,
            fields(["kind"]),
            "misplaced-document",
            format!("`{id}` does not stand in the place of its owner"),
        )
        .hint(format!(
            "move it to `{place}.yaml` or below `{place}/`, as `ownership.by_path` of the fleet \
             asks for"
        ));
}

/// Where the documents of a resource stand: in this file, without its ending, or below this
/// directory. None for the fleet, whose file is another rule's.
fn place(id: &ResourceId) -> Option<String> {
    match id {
        ResourceId::Fleet => None,
        ResourceId::Node(_) => Some("nodes".to_owned()),
        ResourceId::Site(site) | ResourceId::Env { site, .. } => Some(format!("sites/{site}")),
    }
}

fn is_below(file: &str, place: &str) -> bool {
    let rest = file.strip_prefix(place);
    rest.is_some_and(|rest| rest.starts_with('/') || matches!(rest, ".yaml" | ".yml"))
}
