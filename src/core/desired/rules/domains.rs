//! Domains: each belongs to one environment, and each environment has one address.

use std::collections::HashMap;

use super::Index;
use crate::core::desired::findings::Findings;
use crate::core::desired::{Resource, Source};
use crate::core::document::Environment;
use crate::core::document::environment::Challenge;
use crate::core::document::read::Step;

pub(super) fn check(index: &Index<'_>, findings: &mut Findings) {
    preview(index, findings);
    let mut seen: HashMap<&str, (&Source, &Resource<Environment>)> = HashMap::new();
    for environment in &index.draft.environments {
        roles(environment, findings);
        for (position, domain) in environment.value.domains.iter().enumerate() {
            let at = at(position, "name");
            let source = &environment.source;
            let name = domain.name.as_str();
            if let Some((first, owner)) = seen.get(name) {
                let message = format!("the domain `{name}` is already taken by `{}`", owner.id());
                findings
                    .error(source, at, "duplicate-domain", message)
                    .hint(format!(
                        "it is in the document at {}:{}",
                        first.file, first.line
                    ));
                continue;
            }
            seen.insert(name, (source, environment));
            below_preview(index, source, at, name, findings);
            challenge(index, source, position, domain.challenge, findings);
        }
    }
}

fn at(position: usize, field: &'static str) -> Vec<Step> {
    vec![
        Step::Field("domains"),
        Step::Item(position),
        Step::Field(field),
    ]
}

/// At most one primary domain, and something for redirects to lead to.
fn roles(environment: &Resource<Environment>, findings: &mut Findings) {
    let source = &environment.source;
    let mut primary: Option<&str> = None;
    for (position, domain) in environment.value.domains.iter().enumerate() {
        if domain.primary && domain.redirect {
            findings
                .error(
                    source,
                    at(position, "redirect"),
                    "primary-redirect",
                    format!(
                        "the domain `{}` is both `primary` and `redirect`",
                        domain.name
                    ),
                )
                .hint("visitors are redirected to the primary domain; remove one of the two");
        }
        if !domain.primary {
            continue;
        }
        match primary {
            Some(first) => findings
                .error(
                    source,
                    at(position, "primary"),
                    "second-primary",
                    format!("the domain `{}` is a second primary domain", domain.name),
                )
                .hint(format!("the first one is `{first}`")),
            None => primary = Some(domain.name.as_str()),
        }
    }
    if primary.is_none() && !source.lost("domains") {
        let redirects = environment.value.domains.iter().enumerate();
        for (position, domain) in redirects.filter(|(_, domain)| domain.redirect) {
            findings
                .error(
                    source,
                    at(position, "redirect"),
                    "redirect-without-primary",
                    format!(
                        "the domain `{}` redirects to a primary domain that is not there",
                        domain.name
                    ),
                )
                .hint("mark one of the other domains with `primary: true`");
        }
    }
}

/// The preview domain has its own wildcard record and certificate.
fn below_preview(
    index: &Index<'_>,
    source: &Source,
    at: Vec<Step>,
    name: &str,
    findings: &mut Findings,
) {
    let fleet = index.draft.fleet.as_ref();
    let Some(preview) = fleet.and_then(|fleet| fleet.value.preview.domain.as_ref()) else {
        return;
    };
    let below = name
        .strip_suffix(preview.as_str())
        .is_some_and(|rest| rest.ends_with('.'));
    if below || name == preview.as_str() {
        findings
            .error(
                source,
                at,
                "domain-below-preview",
                format!("the domain `{name}` lies below the preview domain `{preview}`"),
            )
            .hint("preview addresses are made by themselves; remove it");
    }
}

fn challenge(
    index: &Index<'_>,
    source: &Source,
    position: usize,
    challenge: Option<Challenge>,
    findings: &mut Findings,
) {
    let without =
        index.draft.fleet.as_ref().is_some_and(|fleet| {
            fleet.value.preview.dns01.is_none() && !fleet.source.lost("preview")
        });
    if challenge == Some(Challenge::Dns01) && without {
        findings
            .error(
                source,
                at(position, "challenge"),
                "dns01-needed",
                "the challenge `dns-01` needs a DNS provider",
            )
            .hint(
                "write `preview: {dns01: {provider: …, credentials: secret:…}}` into the `Fleet`",
            );
    }
}

/// Wildcard certificates are given out for a DNS record only.
fn preview(index: &Index<'_>, findings: &mut Findings) {
    let Some(fleet) = &index.draft.fleet else {
        return;
    };
    if fleet.source.lost("preview") {
        return;
    }
    let preview = &fleet.value.preview;
    if let (Some(domain), None) = (&preview.domain, &preview.dns01) {
        findings
            .error(
                &fleet.source,
                vec![Step::Field("preview"), Step::Field("domain")],
                "dns01-needed",
                format!("the preview domain `{domain}` needs `dns01`"),
            )
            .hint("add `dns01: {provider: …, credentials: secret:…}` below `preview`");
    }
}
