//! What the fleet's document names outside of itself: addresses, and playbooks of its repository.

use super::{Commit, error};
use crate::core::address::{host_of, names_private};
use crate::core::desired::FLEET_FILE;
use crate::core::diagnostic::Diagnostic;
use crate::core::id::ResourceId;
use crate::daemon::sources::SourceSettings;

pub(super) fn check(
    commit: &Commit<'_>,
    settings: &SourceSettings,
    problems: &mut Vec<Diagnostic>,
) {
    let Some(fleet) = (commit.spec)(&ResourceId::Fleet) else {
        return;
    };
    for field in [
        "sources.wordpress.url",
        "sources.wp_cli.url",
        "sources.object_cache.url",
        "sources.plugins",
    ] {
        let Some(url) = fleet.str(field) else {
            continue;
        };
        private(commit, settings, field, url, problems);
    }
    let packs = fleet
        .get("sources.languages")
        .and_then(|packs| packs.as_array());
    for url in packs
        .into_iter()
        .flatten()
        .filter_map(|pack| pack.get("url")?.as_str())
    {
        private(commit, settings, "sources.languages", url, problems);
    }
    let hooks = fleet.get("hooks").and_then(|hooks| hooks.as_array());
    for playbook in hooks
        .into_iter()
        .flatten()
        .filter_map(|hook| hook.get("playbook")?.as_str())
    {
        let is_there = |file: &crate::git::SourceFile| file.path == playbook;
        if !commit.snapshot.hooks.iter().any(is_there) {
            problems.push(error(
                FLEET_FILE,
                line_of(commit, playbook),
                "unknown-playbook",
                format!("there is no playbook `{playbook}` below `hooks/` of the fleet repo"),
                "add it, or remove the hook; this version runs no hooks yet",
            ));
        }
    }
}

/// Adds what is wrong with an address, if anything is.
fn private(
    commit: &Commit<'_>,
    settings: &SourceSettings,
    field: &str,
    url: &str,
    problems: &mut Vec<Diagnostic>,
) {
    if host_of(url).is_some_and(|host| names_private(host, &settings.allow_private)) {
        problems.push(error(
            FLEET_FILE,
            line_of(commit, url),
            "private-address",
            format!("`{field}` leads to a private address"),
            "name one of the internet, or allow it on the control plane: `allow_private` under \
             `[sources]` of `pressluft.toml`",
        ));
    }
}

/// The line of the fleet's file that has the text, from 1.
fn line_of(commit: &Commit<'_>, text: &str) -> usize {
    let file = commit.snapshot.texts()(FLEET_FILE).unwrap_or_default();
    let index = file.lines().position(|line| line.contains(text));
    index.map_or(1, |index| index + 1)
}
