//! References lead to something that exists.

use super::Index;
use crate::core::desired::Source;
use crate::core::desired::findings::{Findings, fields};
use crate::core::document::DocumentKind;
use crate::core::document::node::NodeState;
use crate::core::document::read::{Step, nearest};

pub(super) fn check(index: &Index<'_>, findings: &mut Findings) {
    for site in &index.draft.sites {
        if !site.source.lost("node") {
            node(index, &site.source, site.value.node.as_str(), findings);
        }
        if let Some(gate) = &site.value.updates.gate {
            let at = fields(["updates", "gate"]);
            environment(
                index,
                &site.source,
                at,
                site.value.name.as_str(),
                gate.as_str(),
                findings,
            );
        }
    }
    for resource in &index.draft.environments {
        let (value, source) = (&resource.value, &resource.source);
        let site = value.site.as_str();
        if !index.sites.contains_key(site) && !index.draft.known.is_broken(DocumentKind::Site, site)
        {
            unknown(
                source,
                fields(["site"]),
                "site",
                site,
                index.sites.keys().copied(),
                findings,
            );
            continue;
        }
        if let Some(name) = &value.node {
            node(index, source, name.as_str(), findings);
        }
        if let Some(from) = &value.from {
            environment(
                index,
                source,
                fields(["from"]),
                site,
                from.as_str(),
                findings,
            );
        }
        if let Some(promote) = &value.promote {
            let at = fields(["promote", "to"]);
            environment(index, source, at, site, promote.to.as_str(), findings);
        }
        if let Some(sync) = &value.sync {
            let at = fields(["sync", "from"]);
            environment(index, source, at, site, sync.from.as_str(), findings);
        }
    }
}

fn node(index: &Index<'_>, source: &Source, name: &str, findings: &mut Findings) {
    match index.nodes.get(name) {
        None if index.draft.known.is_broken(DocumentKind::Node, name) => {}
        None => {
            let names = index.nodes.keys().copied();
            unknown(source, fields(["node"]), "node", name, names, findings);
        }
        Some(node) if node.value.state == NodeState::Absent => findings
            .error(
                source,
                fields(["node"]),
                "absent-node",
                format!("the node `{name}` is `absent` and takes nothing"),
            )
            .hint("name another node, or set the `state` of this one to `present`"),
        Some(_) => {}
    }
}

fn environment(
    index: &Index<'_>,
    source: &Source,
    at: Vec<Step>,
    site: &str,
    name: &str,
    findings: &mut Findings,
) {
    if index.environment(site, name).is_some()
        || index.draft.known.is_broken_environment(site, name)
    {
        return;
    }
    let names: Vec<&str> = index
        .environments
        .get(site)
        .into_iter()
        .flat_map(|all| all.keys().copied())
        .collect();
    unknown(source, at, "environment", name, names, findings);
}

fn unknown<'a>(
    source: &Source,
    at: Vec<Step>,
    what: &str,
    name: &str,
    names: impl IntoIterator<Item = &'a str>,
    findings: &mut Findings,
) {
    let mut names: Vec<&str> = names.into_iter().collect();
    names.sort_unstable();
    let hint = match nearest(name, names.iter().copied()) {
        Some(near) => format!("did you mean `{near}`?"),
        None if names.is_empty() => format!("there is no {what} yet"),
        None if names.len() <= 8 => format!("there is `{}`", names.join("`, `")),
        None => format!("none of the {} names is like it", names.len()),
    };
    let of = if what == "environment" {
        " of this site"
    } else {
        ""
    };
    findings
        .error(
            source,
            at,
            "unknown-reference",
            format!("there is no {what} `{name}`{of}"),
        )
        .hint(hint);
}
