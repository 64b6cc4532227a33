//! Nodes: whether what runs on them fits.

use std::collections::BTreeMap;

use super::Index;
use crate::core::desired::Resource;
use crate::core::desired::findings::{Findings, fields};
use crate::core::document::scalar::ByteSize;
use crate::core::document::{Environment, Node};

pub(super) fn check(index: &Index<'_>, findings: &mut Findings) {
    // Without the fleet's defaults neither versions nor sizes are those that will hold.
    if !index.draft.fleet_is_known {
        return;
    }
    let mut on_node: BTreeMap<&str, Vec<&Resource<Environment>>> = BTreeMap::new();
    for environment in &index.draft.environments {
        let Some(node) = index.node_of(&environment.value) else {
            continue;
        };
        php_version(environment, node, findings);
        // A second document of one environment is a mistake of its own and takes no memory.
        if node.value.php.ram_budget.is_some() && index.is_first(environment) {
            on_node
                .entry(node.value.name.as_str())
                .or_default()
                .push(environment);
        }
    }
    for (name, environments) in on_node {
        if let Some(node) = index.nodes.get(name) {
            ram_budget(node, &environments, findings);
        }
    }
}

fn php_version(
    environment: &Resource<Environment>,
    node: &Resource<Node>,
    findings: &mut Findings,
) {
    let version = &environment.value.php.version;
    let versions = &node.value.php.versions;
    let is_lost = environment.source.lost("php") || node.source.lost("php");
    if is_lost || versions.contains(version) {
        return;
    }
    let names: Vec<&str> = versions.iter().map(|version| version.as_str()).collect();
    let node_id = node.id();
    findings
        .error(
            &environment.source,
            fields(["php", "version"]),
            "php-version-not-on-node",
            format!("the node `{}` does not have PHP {version}", node.value.name),
        )
        .hint(format!(
            "use `{}`, or add it to `php.versions` of `{node_id}`",
            names.join("`, `")
        ));
}

/// All workers of all environments may be busy at once, each with all the memory it may take.
fn ram_budget(
    node: &Resource<Node>,
    environments: &[&Resource<Environment>],
    findings: &mut Findings,
) {
    let Some(budget) = node.value.php.ram_budget else {
        return;
    };
    let need = |environment: &Environment| {
        u64::from(environment.php.workers.get()) * environment.php.memory.as_bytes()
    };
    let total: u64 = environments
        .iter()
        .map(|environment| need(&environment.value))
        .sum();
    if total <= budget.as_bytes() {
        return;
    }
    let mut largest: Vec<&&Resource<Environment>> = environments.iter().collect();
    largest.sort_by_key(|environment| std::cmp::Reverse(need(&environment.value)));
    let shares: Vec<String> = largest
        .iter()
        .take(3)
        .map(|env| {
            let php = &env.value.php;
            format!("`{}` {} × {}", env.id(), php.workers.get(), php.memory)
        })
        .collect();
    findings
        .error(
            &node.source,
            fields(["php", "ram_budget"]),
            "ram-budget-exceeded",
            format!(
                "the PHP workers of {} environments may take {}, more than the budget of {budget}",
                environments.len(),
                ByteSize::from_bytes(total),
            ),
        )
        .hint(format!(
            "the largest: {}; lower them or raise the budget",
            shares.join(", ")
        ));
}
