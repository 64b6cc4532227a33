//! What an environment may be: types, origins and one-shots.

use std::collections::HashSet;

use super::Index;
use crate::core::desired::Resource;
use crate::core::desired::findings::{Findings, fields};
use crate::core::document::Environment;
use crate::core::document::environment::EnvironmentType;

pub(super) fn check(index: &Index<'_>, findings: &mut Findings) {
    one_production(index, findings);
    for environment in &index.draft.environments {
        origin(index, environment, findings);
        name_and_type(environment, findings);
        one_shots(environment, findings);
        passwords(environment, findings);
        backups(index, environment, findings);
    }
}

/// Every site has exactly one environment that the public sees.
fn one_production(index: &Index<'_>, findings: &mut Findings) {
    let is_production =
        |resource: &&Resource<Environment>| resource.value.r#type == EnvironmentType::Production;
    for site in &index.draft.sites {
        let name = site.value.name.as_str();
        let all = index.environments.get(name);
        let mut productions = all
            .into_iter()
            .flat_map(|all| all.values().copied())
            .filter(is_production);
        let Some(first) = productions.next() else {
            if !index.draft.known.may_be_production_of(name) {
                findings
                    .error(
                        &site.source,
                        fields(["name"]),
                        "missing-production",
                        format!("the site `{name}` has no environment of type `production`"),
                    )
                    .hint(format!(
                        "add `kind: Environment`, `site: {name}`, `name: production`, `type: \
                         production`"
                    ));
            }
            continue;
        };
        for second in productions {
            findings
                .error(
                    &second.source,
                    fields(["type"]),
                    "second-production",
                    format!("the site `{name}` has a second environment of type `production`"),
                )
                .hint(format!(
                    "the first one is at {}:{}; make this one `staging` or `clone`",
                    first.source.file, first.source.line
                ));
        }
    }
}

/// Chains of copies are followed this far.
const LONGEST_CHAIN: usize = 200;

/// Copies come from an environment of the same site, in a chain that has an end.
fn origin(index: &Index<'_>, resource: &Resource<Environment>, findings: &mut Findings) {
    let (value, source) = (&resource.value, &resource.source);
    let site = value.site.as_str();
    match (value.r#type, &value.from) {
        (EnvironmentType::Production, Some(_)) => findings
            .error(
                source,
                fields(["from"]),
                "from-on-production",
                "production has no `from`",
            )
            .hint("remove it; only staging and clones are made from another environment"),
        (EnvironmentType::Production, None) | (_, Some(_)) => {}
        (_, None) if source.lost("from") => {}
        (kind, None) => findings
            .error(
                source,
                fields(["type"]),
                "missing-from",
                format!("an environment of type `{kind}` needs `from`"),
            )
            .hint("name the environment of the site that it is made from: `from: production`"),
    }
    if value.r#type == EnvironmentType::Production {
        if value.expires.is_some() {
            findings
                .error(
                    source,
                    fields(["expires"]),
                    "expires-on-production",
                    "production cannot expire",
                )
                .hint("remove `expires`");
        }
        return;
    }
    // The environment that closes the circle with the smallest name reports it.
    let mut members = vec![value.name.as_str()];
    let mut seen: HashSet<&str> = HashSet::from([value.name.as_str()]);
    let mut next = value.from.as_ref();
    while let Some(from) = next {
        if from.as_str() == value.name.as_str() {
            if members.iter().min() == members.first() {
                members.push(value.name.as_str());
                let circle = members.join("` from `");
                let message = format!("copies go in a circle: `{circle}`");
                findings
                    .error(source, fields(["from"]), "from-cycle", message)
                    .hint("begin with `production`");
            }
            return;
        }
        // The planner finds circles that nobody would read to their end.
        if !seen.insert(from.as_str()) || members.len() > LONGEST_CHAIN {
            return;
        }
        members.push(from.as_str());
        next = index
            .environment(site, from.as_str())
            .and_then(|env| env.value.from.as_ref());
    }
}

/// Preview addresses are made so that only production may be called `production`.
fn name_and_type(resource: &Resource<Environment>, findings: &mut Findings) {
    let value = &resource.value;
    if value.name.as_str() == "production" && value.r#type != EnvironmentType::Production {
        findings
            .error(
                &resource.source,
                fields(["name"]),
                "name-and-type",
                format!(
                    "an environment of type `{}` cannot be called `production`",
                    value.r#type
                ),
            )
            .hint("choose another name, or make it `type: production`");
    }
}

/// Content goes from production to copies by `sync` and back by `promote`.
fn one_shots(resource: &Resource<Environment>, findings: &mut Findings) {
    let (value, source) = (&resource.value, &resource.source);
    let is_production = value.r#type == EnvironmentType::Production;
    if let Some(promote) = &value.promote {
        if is_production {
            findings
                .error(
                    source,
                    fields(["promote"]),
                    "promote-from-production",
                    "production is not promoted to other environments",
                )
                .hint("write `sync: {from: …}` into the environment that should get its content");
        } else if promote.to.as_str() == value.name.as_str() {
            findings
                .error(
                    source,
                    fields(["promote", "to"]),
                    "promote-to-itself",
                    "an environment cannot be promoted to itself",
                )
                .hint("name the environment that gets the content, usually `production`");
        }
    }
    if let Some(sync) = &value.sync {
        if is_production {
            findings
                .error(
                    source,
                    fields(["sync"]),
                    "sync-into-production",
                    "production is never overwritten by `sync`",
                )
                .hint("write `promote: {to: …}` into the environment that holds the content");
        } else if sync.from.as_str() == value.name.as_str() {
            findings
                .error(
                    source,
                    fields(["sync", "from"]),
                    "sync-from-itself",
                    "an environment cannot be synced from itself",
                )
                .hint("name the environment that has the content, usually `production`");
        } else if !sync.db && !sync.files {
            findings
                .error(
                    source,
                    fields(["sync"]),
                    "empty-sync",
                    "the sync brings neither database nor files",
                )
                .hint("leave `db` or `files` true");
        }
    }
}

/// A page asks for one password at most.
fn passwords(resource: &Resource<Environment>, findings: &mut Findings) {
    let value = &resource.value;
    if value.http.basic_auth.is_some() && value.safety.basic_auth.is_some() {
        findings
            .error(
                &resource.source,
                fields(["http", "basic_auth"]),
                "second-basic-auth",
                "both `http.basic_auth` and `safety.basic_auth` ask for a password",
            )
            .hint("keep one of them");
    }
}

/// Regular backups go somewhere.
fn backups(index: &Index<'_>, resource: &Resource<Environment>, findings: &mut Findings) {
    let fits = index.draft.fleet.as_ref().is_none_or(|fleet| {
        fleet.source.lost("backups")
            || fleet.value.backups.repository.is_some()
            || resource.value.backups.schedule.is_none()
    });
    if !fits {
        findings
            .error(
                &resource.source,
                fields(["backups", "schedule"]),
                "backup-repository-needed",
                "regular backups need a repository",
            )
            .hint("write `backups: {repository: …, password: secret:…}` into the `Fleet`");
    }
}
