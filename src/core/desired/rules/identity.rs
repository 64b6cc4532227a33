//! Ids are unique.

use std::collections::HashMap;
use std::hash::Hash;

use super::Draft;
use crate::core::desired::findings::{Findings, fields};
use crate::core::desired::{HasSpec, Resource, Source};
use crate::core::document::Environment;
use crate::core::names::system_name;

pub(super) fn check(draft: &Draft, findings: &mut Findings) {
    unique(&draft.nodes, |node| node.name.as_str(), findings);
    unique(&draft.sites, |site| site.name.as_str(), findings);
    unique(
        &draft.environments,
        |env| (env.site.as_str(), env.name.as_str()),
        findings,
    );
    let system_of = |env: &Environment| system_name(env.site.as_str(), env.name.as_str());
    systems(&draft.environments, &system_of, findings);
}

/// What an environment is on its node is its own: its user, its database, its units have one name.
fn systems(
    environments: &[Resource<Environment>],
    system_of: &dyn Fn(&Environment) -> String,
    findings: &mut Findings,
) {
    let mut seen: HashMap<String, &Resource<Environment>> =
        HashMap::with_capacity(environments.len());
    for resource in environments {
        let system = system_of(&resource.value);
        let Some(first) = seen
            .get(&system)
            .filter(|first| first.id() != resource.id())
        else {
            seen.entry(system).or_insert(resource);
            continue;
        };
        findings
            .error(
                &resource.source,
                fields(["name"]),
                "same-system-name",
                format!(
                    "`{}` would be `{system}` on its node, which `{}` is",
                    resource.id(),
                    first.id()
                ),
            )
            .hint("choose another name for the site or the environment");
    }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::desired::assemble::draft;
    use crate::core::document::parse_file;

    #[test]
    fn no_two_environments_are_one_on_their_node() {
        // No two that anybody knows have one digest, so here the name is the site's alone.
        let text = "kind: Environment\nsite: a\nname: x\ntype: staging\nfrom: y\n---\n\
                    kind: Environment\nsite: b\nname: x\ntype: staging\nfrom: y\n---\n\
                    kind: Environment\nsite: a\nname: z\ntype: staging\nfrom: y\n";
        let file = ("e.yaml".to_owned(), parse_file("e.yaml", text));
        let mut findings = Findings::default();
        let drafted = draft(vec![file], &mut findings);
        let mut findings = Findings::default();
        let site = |env: &Environment| env.site.to_string();
        systems(&drafted.draft.environments, &site, &mut findings);
        let told = format!("{findings:?}");
        assert_eq!(told.matches("same-system-name").count(), 1, "{told}");
        assert!(
            told.contains("`env/a/z` would be `a` on its node, which `env/a/x` is"),
            "{told}"
        );
    }
}
