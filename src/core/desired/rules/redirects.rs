//! Redirects of an environment lead somewhere.

use std::collections::HashMap;

use super::Draft;
use crate::core::desired::Resource;
use crate::core::desired::findings::Findings;
use crate::core::document::Environment;
use crate::core::document::read::Step;

pub(super) fn check(draft: &Draft, findings: &mut Findings) {
    for environment in &draft.environments {
        if !environment.value.http.redirects.is_empty() {
            of_environment(environment, findings);
        }
    }
}

fn of_environment(environment: &Resource<Environment>, findings: &mut Findings) {
    let redirects = &environment.value.http.redirects;
    let at = |position: usize, field: &'static str| {
        vec![
            Step::Field("http"),
            Step::Field("redirects"),
            Step::Item(position),
            Step::Field(field),
        ]
    };
    let mut targets: HashMap<&str, (usize, Option<&str>)> = HashMap::new();
    for (position, redirect) in redirects.iter().enumerate() {
        let from = path_only(redirect.from.as_str());
        if targets.contains_key(from) {
            findings
                .error(
                    &environment.source,
                    at(position, "from"),
                    "duplicate-redirect",
                    format!("the path `{from}` is redirected twice"),
                )
                .hint("remove one of the two");
            continue;
        }
        let to = own_path(&environment.value, redirect.to.as_str());
        targets.insert(from, (position, to));
    }
    for (position, redirect) in redirects.iter().enumerate() {
        let start = path_only(redirect.from.as_str());
        if targets
            .get(start)
            .is_none_or(|(first, _)| *first != position)
        {
            continue;
        }
        let mut way = vec![start];
        let mut next = targets.get(start).and_then(|(_, to)| *to);
        while let Some(path) = next {
            if path == start {
                // The member that stands first in the list tells about the loop.
                let members = way.iter().filter_map(|path| targets.get(path));
                if members.map(|(at, _)| *at).min() == Some(position) {
                    way.push(start);
                    let message = format!("redirects go in a circle: `{}`", way.join("` → `"));
                    findings
                        .error(
                            &environment.source,
                            at(position, "to"),
                            "redirect-loop",
                            message,
                        )
                        .hint("let one of them lead elsewhere");
                }
                break;
            }
            if way.contains(&path) {
                break;
            }
            way.push(path);
            next = targets.get(path).and_then(|(_, to)| *to);
        }
    }
}

/// The path of a target on the site itself; none for one that leads to another host.
fn own_path<'a>(environment: &Environment, target: &'a str) -> Option<&'a str> {
    if target.starts_with('/') {
        return Some(path_only(target));
    }
    let rest = target.split_once("://").map(|(_, rest)| rest)?;
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let host = rest[..end].split(':').next().unwrap_or_default();
    let own = environment
        .domains
        .iter()
        .any(|domain| domain.name.as_str() == host);
    own.then(|| {
        if rest[end..].starts_with('/') {
            path_only(&rest[end..])
        } else {
            "/"
        }
    })
}

fn path_only(path: &str) -> &str {
    path.split(['?', '#']).next().unwrap_or(path)
}
