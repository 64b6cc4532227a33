//! Redirects of an environment lead somewhere.

use std::collections::{HashMap, HashSet};

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
    // Every path leads to one other at most, so each is walked over once.
    let mut done: HashSet<&str> = HashSet::new();
    for redirect in redirects {
        let mut way: Vec<&str> = Vec::new();
        let mut places: HashMap<&str, usize> = HashMap::new();
        let mut next = Some(path_only(redirect.from.as_str()));
        while let Some(path) = next {
            if let Some(begin) = places.get(path) {
                let circle = from_first(&way[*begin..], |path| targets[path].0);
                let position = circle.first().map_or(0, |path| targets[path].0);
                let message = format!("redirects go in a circle: `{}`", circle.join("` → `"));
                findings
                    .error(
                        &environment.source,
                        at(position, "to"),
                        "redirect-loop",
                        message,
                    )
                    .hint("let one of them lead elsewhere");
                break;
            }
            let Some((_, to)) = targets.get(path).filter(|_| !done.contains(path)) else {
                break;
            };
            places.insert(path, way.len());
            way.push(path);
            next = *to;
        }
        done.extend(way);
    }
}

/// A circle from the member that stands first in the document back to itself.
fn from_first<'a>(members: &[&'a str], position: impl Fn(&str) -> usize) -> Vec<&'a str> {
    let first = (0..members.len())
        .min_by_key(|index| position(members[*index]))
        .unwrap_or(0);
    let mut circle: Vec<&str> = members.to_vec();
    circle.rotate_left(first);
    circle.extend(circle.first().copied());
    circle
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
