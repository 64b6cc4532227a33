//! Differences between two specs, field by field, and the patch that a finished job leaves in
//! the recorded state.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::spec::Spec;

/// What a person sees in place of a secret's value.
pub const SENSITIVE: &str = "(sensitive)";

/// One difference, as it is shown; `null` stands for a field that is not there.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Change {
    /// Dotted, elements of named lists in brackets: `php.memory`, `sftp[anna].keys`.
    pub path: String,
    pub before: Value,
    pub after: Value,
}

/// One scalar or list of a spec with the keys that lead to it. Lists are leaves: their order
/// may carry meaning, so they are replaced whole.
pub type Leaf = (Vec<String>, Value);

/// Every leaf of `spec`, in key order.
#[must_use]
pub fn leaves(spec: &Spec) -> BTreeMap<Vec<String>, Value> {
    let mut found = BTreeMap::new();
    let mut path = Vec::new();
    collect(&spec.0, &mut path, &mut found);
    found
}

fn collect(
    map: &Map<String, Value>,
    path: &mut Vec<String>,
    found: &mut BTreeMap<Vec<String>, Value>,
) {
    for (key, value) in map {
        path.push(key.clone());
        match value {
            Value::Object(inner) if !inner.is_empty() => collect(inner, path, found),
            other => {
                found.insert(path.clone(), other.clone());
            }
        }
        path.pop();
    }
}

/// What to do to a recorded spec: leaves to set and leaves to take out.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct SpecPatch {
    pub set: Vec<Leaf>,
    pub unset: Vec<Vec<String>>,
}

impl SpecPatch {
    /// The patch that makes all of `spec` of nothing.
    #[must_use]
    pub fn of(spec: &Spec) -> Self {
        Self::between(&Spec::default(), spec, |_| true)
    }

    /// The patch that makes the leaves chosen by `carries` like those of `after`.
    #[must_use]
    pub fn between(before: &Spec, after: &Spec, carries: impl Fn(&[String]) -> bool) -> Self {
        let (before, after) = (leaves(before), leaves(after));
        Self {
            set: after
                .iter()
                .filter(|(path, value)| carries(path) && before.get(*path) != Some(value))
                .map(|(path, value)| (path.clone(), value.clone()))
                .collect(),
            unset: before
                .keys()
                .filter(|path| carries(path) && !after.contains_key(*path))
                .cloned()
                .collect(),
        }
    }

    /// Whether there is nothing to do.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.set.is_empty() && self.unset.is_empty()
    }

    /// `spec` with this patch applied. Removals come first, so that a scalar can become a map.
    #[must_use]
    pub fn apply(&self, spec: &Spec) -> Spec {
        let mut map = spec.0.clone();
        for path in &self.unset {
            remove(&mut map, path);
        }
        for (path, value) in &self.set {
            insert(&mut map, path, value.clone());
        }
        Spec(map)
    }

    /// The differences as a person reads them, named lists element by element.
    #[must_use]
    pub fn changes(&self, before: &Spec) -> Vec<Change> {
        let old = leaves(before);
        let mut changes = Vec::new();
        for (path, after) in &self.set {
            let before = old.get(path).cloned().unwrap_or(Value::Null);
            describe(&path.join("."), &before, after, &mut changes);
        }
        for path in &self.unset {
            let before = old.get(path).cloned().unwrap_or(Value::Null);
            describe(&path.join("."), &before, &Value::Null, &mut changes);
        }
        changes.sort_by(|a, b| a.path.cmp(&b.path));
        changes
    }
}

fn insert(map: &mut Map<String, Value>, path: &[String], value: Value) {
    match path {
        [] => {}
        [last] => {
            map.insert(last.clone(), value);
        }
        [first, rest @ ..] => {
            let inner = map
                .entry(first.clone())
                .or_insert_with(|| Value::Object(Map::new()));
            if !inner.is_object() {
                *inner = Value::Object(Map::new());
            }
            if let Value::Object(inner) = inner {
                insert(inner, rest, value);
            }
        }
    }
}

/// Takes a leaf out, and the maps that it leaves empty.
fn remove(map: &mut Map<String, Value>, path: &[String]) {
    match path {
        [] => {}
        [last] => {
            map.remove(last);
        }
        [first, rest @ ..] => {
            if let Some(Value::Object(inner)) = map.get_mut(first) {
                remove(inner, rest);
                if inner.is_empty() {
                    map.remove(first);
                }
            }
        }
    }
}

/// Adds the differences between two leaves: element by element where both are lists of maps
/// with names, else as one change.
fn describe(path: &str, before: &Value, after: &Value, changes: &mut Vec<Change>) {
    let (Some(old), Some(new)) = (named(before), named(after)) else {
        changes.push(Change {
            path: path.to_owned(),
            before: before.clone(),
            after: after.clone(),
        });
        return;
    };
    let count = changes.len();
    for name in old
        .keys()
        .chain(new.keys().filter(|name| !old.contains_key(*name)))
    {
        match (old.get(name), new.get(name)) {
            (Some(a), Some(b)) if a == b => {}
            (Some(a), Some(b)) => describe_fields(&format!("{path}[{name}]"), a, b, changes),
            (a, b) => changes.push(Change {
                path: format!("{path}[{name}]"),
                before: a.map_or(Value::Null, |map| Value::Object((*map).clone())),
                after: b.map_or(Value::Null, |map| Value::Object((*map).clone())),
            }),
        }
    }
    if changes.len() == count {
        // Only the order differs.
        changes.push(Change {
            path: path.to_owned(),
            before: names_of(before),
            after: names_of(after),
        });
    }
}

fn describe_fields(
    path: &str,
    before: &Map<String, Value>,
    after: &Map<String, Value>,
    changes: &mut Vec<Change>,
) {
    let keys: std::collections::BTreeSet<&String> = before.keys().chain(after.keys()).collect();
    for key in keys {
        let (old, new) = (before.get(key), after.get(key));
        if old != new {
            changes.push(Change {
                path: format!("{path}.{key}"),
                before: old.cloned().unwrap_or(Value::Null),
                after: new.cloned().unwrap_or(Value::Null),
            });
        }
    }
}

/// A list of maps that each have their own `name`, by that name; an absent list is empty.
fn named(value: &Value) -> Option<BTreeMap<&str, &Map<String, Value>>> {
    let elements = match value {
        Value::Null => return Some(BTreeMap::new()),
        Value::Array(elements) => elements,
        _ => return None,
    };
    let mut found = BTreeMap::new();
    for element in elements {
        let map = element.as_object()?;
        let name = map.get("name")?.as_str()?;
        if found.insert(name, map).is_some() {
            return None;
        }
    }
    (!found.is_empty()).then_some(found)
}

fn names_of(value: &Value) -> Value {
    let names = value.as_array().into_iter().flatten();
    Value::Array(
        names
            .filter_map(|element| element.get("name").cloned())
            .collect(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn spec(value: Value) -> Spec {
        serde_json::from_value(value).expect("an object")
    }

    fn paths(before: Value, after: Value) -> Vec<(String, Value, Value)> {
        let (before, after) = (spec(before), spec(after));
        SpecPatch::between(&before, &after, |_| true)
            .changes(&before)
            .into_iter()
            .map(|change| (change.path, change.before, change.after))
            .collect()
    }

    #[test]
    fn a_field_deep_down_is_one_change() {
        assert_eq!(
            paths(
                json!({"php": {"memory": "256M", "workers": 2}}),
                json!({"php": {"memory": "512M", "workers": 2}})
            ),
            [("php.memory".to_owned(), json!("256M"), json!("512M"))]
        );
    }

    #[test]
    fn named_lists_are_compared_by_name() {
        assert_eq!(
            paths(
                json!({"d": [{"name": "a", "x": 1}, {"name": "b"}]}),
                json!({"d": [{"name": "a", "x": 2}, {"name": "c"}]})
            ),
            [
                ("d[a].x".to_owned(), json!(1), json!(2)),
                ("d[b]".to_owned(), json!({"name": "b"}), Value::Null),
                ("d[c]".to_owned(), Value::Null, json!({"name": "c"})),
            ]
        );
    }

    #[test]
    fn another_order_of_a_named_list_is_seen() {
        assert_eq!(
            paths(
                json!({"d": [{"name": "a"}, {"name": "b"}]}),
                json!({"d": [{"name": "b"}, {"name": "a"}]})
            ),
            [("d".to_owned(), json!(["a", "b"]), json!(["b", "a"]))]
        );
    }

    fn value(depth: u32) -> BoxedStrategy<Value> {
        let leaf = prop_oneof![
            any::<bool>().prop_map(Value::from),
            (0_i64..5).prop_map(Value::from),
            "[a-c]{0,2}".prop_map(Value::from),
            prop::collection::vec("[a-c]", 0..3).prop_map(Value::from),
        ];
        if depth == 0 {
            return leaf.boxed();
        }
        prop_oneof![
            3 => leaf,
            2 => prop::collection::btree_map("[a-d]", value(depth - 1), 1..4)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
        .boxed()
    }

    fn any_spec() -> impl Strategy<Value = Spec> {
        prop::collection::btree_map("[a-d]", value(2), 0..5)
            .prop_map(|map| Spec(map.into_iter().collect()))
    }

    proptest! {
        #[test]
        fn a_whole_patch_turns_one_spec_into_the_other(a in any_spec(), b in any_spec()) {
            let patch = SpecPatch::between(&a, &b, |_| true);
            prop_assert_eq!(patch.is_empty(), a == b);
            prop_assert_eq!(patch.changes(&a).is_empty(), a == b);
            prop_assert_eq!(patch.apply(&a), b);
        }

        #[test]
        fn patches_of_two_aspects_commute(a in any_spec(), b in any_spec()) {
            let first = SpecPatch::between(&a, &b, |path| path[0].as_str() < "b");
            let second = SpecPatch::between(&a, &b, |path| path[0].as_str() >= "b");
            prop_assert_eq!(second.apply(&first.apply(&a)), first.apply(&second.apply(&a)));
            prop_assert_eq!(second.apply(&first.apply(&a)), b);
        }
    }
}
