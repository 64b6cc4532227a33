//! What a resource is whose document says no more than it has to.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::HasSpec;
use super::assemble::Effective;
use crate::core::document::{EnvironmentDocument, FleetDocument, NodeDocument, SiteDocument};
use crate::core::id::ResourceKind;
use crate::core::leaf::{LeafOf, leaves};
use crate::core::spec::Spec;

/// Production and what is copied from it have other defaults.
const PRODUCTION: &str = "production";

struct Plain {
    spec: Spec,
    /// What every document of the kind has to say.
    written: Value,
}

/// By kind; of environments production, and then what is none.
static PLAIN: LazyLock<BTreeMap<(ResourceKind, bool), Plain>> = LazyLock::new(|| {
    let env = |kind: &str| json!({"kind": "Environment", "site": "x", "name": "x", "type": kind});
    [
        (
            ResourceKind::Fleet,
            false,
            of::<FleetDocument>(json!({"kind": "Fleet", "version": 1, "name": "x"})),
        ),
        (
            ResourceKind::Node,
            false,
            of::<NodeDocument>(json!({"kind": "Node", "name": "x", "host": "x.example"})),
        ),
        (
            ResourceKind::Site,
            false,
            of::<SiteDocument>(json!({
                "kind": "Site", "name": "x", "node": "x", "title": "x",
                "admin": {"user": "x", "email": "x@x.example"},
            })),
        ),
        (
            ResourceKind::Env,
            true,
            of::<EnvironmentDocument>(env(PRODUCTION)),
        ),
        (
            ResourceKind::Env,
            false,
            of::<EnvironmentDocument>(env("clone")),
        ),
    ]
    .into_iter()
    .map(|(kind, is_production, plain)| ((kind, is_production), plain))
    .collect()
});

static DEFAULTS: LazyLock<BTreeMap<(ResourceKind, bool), Vec<LeafOf<'static>>>> =
    LazyLock::new(|| {
        let of = |plain: &'static Plain| {
            let mut leaves = leaves(plain.spec.fields());
            let is_written = |path: &[&str]| {
                plain
                    .written
                    .pointer(&format!("/{}", path.join("/")))
                    .is_some()
            };
            leaves.retain(|(path, _)| !is_written(path));
            leaves
        };
        PLAIN
            .iter()
            .map(|(of_what, plain)| (*of_what, of(plain)))
            .collect()
    });

fn of<T>(written: Value) -> Plain
where
    T: Effective + DeserializeOwned,
    T::Value: HasSpec,
{
    let document = serde_json::from_value::<T>(written.clone()).ok();
    let value = document.and_then(|mut document| {
        document.prepare(&T::Defaults::default());
        document.finish().ok()
    });
    let spec = value.map(|value| value.spec()).unwrap_or_default();
    Plain { spec, written }
}

/// The spec of one; of an environment that of production.
#[must_use]
pub fn plain(kind: ResourceKind) -> &'static Spec {
    static NONE: LazyLock<Spec> = LazyLock::new(Spec::default);
    let plain = PLAIN.get(&(kind, kind == ResourceKind::Env));
    plain.map_or(&*NONE, |plain| &plain.spec)
}

/// The leaves that a document need not write, with their values, in key order. Those of an environment depend on its
/// type, as it is written.
#[must_use]
pub fn defaults(kind: ResourceKind, environment_type: Option<&str>) -> &'static [LeafOf<'static>] {
    let is_production = environment_type == Some(PRODUCTION);
    DEFAULTS
        .get(&(kind, is_production))
        .map_or(&[], Vec::as_slice)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_nobody_wrote_has_its_value_all_the_same() {
        let value = |kind, of: Option<&str>, name: &str| {
            let found = defaults(kind, of)
                .iter()
                .find(|(path, _)| path.join(".") == name);
            found.map(|(_, value)| (*value).clone())
        };
        assert_eq!(
            value(ResourceKind::Fleet, None, "reconcile.interval"),
            Some(json!("1m"))
        );
        assert_eq!(
            value(ResourceKind::Node, None, "state"),
            Some(json!("present"))
        );
        assert_eq!(
            value(ResourceKind::Site, None, "code.ref"),
            Some(json!("main"))
        );
        let noindex = |of| value(ResourceKind::Env, Some(of), "safety.noindex");
        assert_eq!(noindex("production"), Some(json!(false)));
        assert_eq!(noindex("staging"), Some(json!(true)));
        for (kind, name) in [
            (ResourceKind::Site, "admin.email"),
            (ResourceKind::Env, "type"),
            (ResourceKind::Node, "name"),
        ] {
            assert_eq!(value(kind, None, name), None);
            assert!(plain(kind).get(name).is_some());
        }
    }
}
