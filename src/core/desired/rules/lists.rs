//! Lists name nothing twice, and some are not empty.

use super::Draft;
use crate::core::desired::Source;
use crate::core::desired::findings::Findings;
use crate::core::document::read::Step;

pub(super) fn check(draft: &Draft, findings: &mut Findings) {
    for node in &draft.nodes {
        let at = [Step::Field("php"), Step::Field("versions")];
        let versions = &node.value.php.versions;
        unique(
            &node.source,
            &at,
            None,
            versions.iter().map(|v| v.as_str()),
            findings,
        );
        if versions.is_empty() && !node.source.lost("php") {
            empty(&node.source, &at, "php.versions", findings);
        }
    }
    for site in &draft.sites {
        for (list, extensions) in [
            ("plugins", &site.value.plugins),
            ("themes", &site.value.themes),
        ] {
            let names = extensions.iter().map(|extension| extension.name.as_str());
            unique(
                &site.source,
                &[Step::Field(list)],
                Some("name"),
                names,
                findings,
            );
        }
    }
    for environment in &draft.environments {
        let (value, source) = (&environment.value, &environment.source);
        let names = value.sftp.iter().map(|user| user.name.as_str());
        unique(
            source,
            &[Step::Field("sftp")],
            Some("name"),
            names,
            findings,
        );
        for (position, user) in value.sftp.iter().enumerate() {
            if user.keys.is_empty() && !source.lost("sftp") {
                let at = [
                    Step::Field("sftp"),
                    Step::Item(position),
                    Step::Field("keys"),
                ];
                empty(source, &at, "keys", findings);
            }
        }
        if value.health.paths.is_empty() && !source.lost("health") {
            empty(
                source,
                &[Step::Field("health"), Step::Field("paths")],
                "health.paths",
                findings,
            );
        }
    }
}

/// `field` is the field of an item that names it; none for a list of single values.
fn unique<'a>(
    source: &Source,
    list: &[Step],
    field: Option<&'static str>,
    names: impl Iterator<Item = &'a str>,
    findings: &mut Findings,
) {
    let mut seen: Vec<&str> = Vec::new();
    for (position, name) in names.enumerate() {
        if !seen.contains(&name) {
            seen.push(name);
            continue;
        }
        let mut at = list.to_vec();
        at.push(Step::Item(position));
        at.extend(field.map(Step::Field));
        findings
            .error(
                source,
                at,
                "duplicate-item",
                format!("`{name}` is in the list twice"),
            )
            .hint("remove one of the two");
    }
}

fn empty(source: &Source, at: &[Step], name: &str, findings: &mut Findings) {
    findings
        .error(
            source,
            at.to_vec(),
            "empty-list",
            format!("`{name}` is empty"),
        )
        .hint("name at least one");
}
