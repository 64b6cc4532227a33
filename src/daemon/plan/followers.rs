//! Environments that have not changed themselves, and see something that does: of their node, of their site, or of the
//! fleet. While somebody holds an environment back it follows nothing, so it is configured anew once it is let go.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::super::error::DaemonError;
use super::specs::Specs;
use crate::core::carrier;
use crate::core::id::{ResourceId, ResourceKind};
use crate::core::plan::{Followed, let_go};
use crate::core::recorded::RecordedHead;
use crate::core::spec::Spec;
use crate::store::Store;

/// The option of WordPress that holds its language.
pub(in crate::daemon) const LANGUAGE: &str = "WPLANG";

/// The recorded environments that see something that changes, each with what it is.
///
/// # Errors
/// When the database cannot be read.
pub(super) fn followers(
    differing: &BTreeSet<ResourceId>,
    specs: &Specs<'_>,
    heads: &[(ResourceId, RecordedHead)],
    store: Option<&Store>,
) -> Result<BTreeMap<ResourceId, Followed>, DaemonError> {
    let mut followers = BTreeMap::new();
    for id in differing {
        let seen = carrier::seen_by_environments(id.kind());
        if seen.is_empty() {
            continue;
        }
        let Some(recorded) = specs.recorded(id) else {
            continue;
        };
        let Some(wanted) = specs.wanted(id) else {
            continue;
        };
        let changes = |field: &&&str| wanted.get(field) != recorded.get(field);
        let field = seen.iter().find(changes);
        let why = match (let_go(&recorded, &wanted), field) {
            (Some(held_by), _) => format!("`{held_by}` of `{id}` is over"),
            (None, Some(field)) => format!("`{field}` of `{id}` changed"),
            (None, None) => continue,
        };
        let environments: Vec<ResourceId> = match (id, store) {
            (ResourceId::Site(site), _) => heads
                .iter()
                .filter(|(id, _)| id.site() == Some(site.as_str()))
                .map(|(id, _)| id.clone())
                .collect(),
            (ResourceId::Node(node), Some(store)) => store.environments_on_node(node)?,
            (ResourceId::Fleet, Some(_)) => {
                let of = |kind| {
                    let ids = heads.iter().map(|(id, _)| id);
                    ids.filter(move |id| id.kind() == kind)
                        .filter_map(|id| Some((id.clone(), specs.recorded(id)?)))
                };
                in_languages(
                    (&recorded, &wanted),
                    of(ResourceKind::Site),
                    of(ResourceKind::Env),
                )
            }
            _ => Vec::new(),
        };
        for env in environments {
            if matches!(env, ResourceId::Env { .. }) && specs.desired.contains(&env) {
                let (of, why) = (id.clone(), why.clone());
                followers.insert(env, Followed { of, why });
            }
        }
    }
    Ok(followers)
}

/// The environments in a language whose packs are others than before.
fn in_languages(
    (before, after): (&Spec, &Spec),
    sites: impl Iterator<Item = (ResourceId, Spec)>,
    environments: impl Iterator<Item = (ResourceId, Spec)>,
) -> Vec<ResourceId> {
    let (before, after) = (packs(before), packs(after));
    // A fleet without packs takes them from elsewhere.
    let all_differ = before.is_empty() != after.is_empty();
    let differs = |language: &str| {
        let of = |packs: &[Value]| -> Vec<Value> {
            let own = packs.iter().filter(|pack| pack["locale"] == language);
            own.cloned().collect()
        };
        !matches!(language, "" | "en_US") && (all_differ || of(&before) != of(&after))
    };
    let sites: BTreeSet<String> = sites
        .filter(|(_, site)| site.str("locale").is_some_and(differs))
        .filter_map(|(id, _)| id.site().map(str::to_owned))
        .collect();
    let follows = |id: &ResourceId, env: &Spec| {
        let own = env.get("options").and_then(|all| all.get(LANGUAGE));
        match own.and_then(Value::as_str) {
            Some(language) => differs(language),
            None => id.site().is_some_and(|site| sites.contains(site)),
        }
    };
    environments
        .filter(|(id, env)| follows(id, env))
        .map(|(id, _)| id)
        .collect()
}

fn packs(fleet: &Spec) -> Vec<Value> {
    let listed = fleet.get("sources.languages").and_then(Value::as_array);
    listed.cloned().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn spec(value: Value) -> Spec {
        serde_json::from_value(value).expect("a spec")
    }

    #[test]
    fn environments_follow_the_packs_of_their_own_language() {
        let fleet = |packs: Value| spec(json!({"sources": {"languages": packs}}));
        let site = |name: &str, locale: &str| {
            let id = ResourceId::Site(name.to_owned());
            (id, spec(json!({ "locale": locale })))
        };
        let env = |site: &str, name: &str, more: Value| (ResourceId::env(site, name), spec(more));
        let follow = |before: Value, after: Value| -> Vec<String> {
            let sites = [site("a", "de_DE"), site("b", "fr_FR"), site("c", "en_US")];
            let environments = [
                env("a", "production", json!({})),
                env("a", "staging", json!({"options": {"WPLANG": "fr_FR"}})),
                env("b", "production", json!({"options": {"WPLANG": ""}})),
                env("c", "production", json!({})),
            ];
            let found = in_languages(
                (&fleet(before), &fleet(after)),
                sites.into_iter(),
                environments.into_iter(),
            );
            found.iter().map(ToString::to_string).collect()
        };
        let pack = |locale: &str, digest: &str| json!({"locale": locale, "sha256": digest});
        let (german, french) = (pack("de_DE", "1"), pack("fr_FR", "1"));
        let both = json!([german, french]);
        assert_eq!(
            follow(both.clone(), json!([pack("de_DE", "2"), french])),
            ["env/a/production"]
        );
        assert_eq!(follow(both.clone(), json!([german])), ["env/a/staging"]);
        assert_eq!(
            follow(both.clone(), json!([])),
            ["env/a/production", "env/a/staging"]
        );
        assert_eq!(follow(both.clone(), both), [""; 0]);
    }
}
