//! Differences between two specs, field by field, and the patch that a finished job leaves in
//! the recorded state.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::id::ResourceId;
use super::leaf::{self, Leaf, LeafOf, Pool, leaves};
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
    /// Whose field it is, where that is not the resource of the job: a site's job makes its production environment, and
    /// carries out what the site asks of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resource: Option<ResourceId>,
}

impl Change {
    #[must_use]
    pub fn new(path: impl Into<String>, before: Value, after: Value) -> Self {
        Self {
            path: path.into(),
            before,
            after,
            resource: None,
        }
    }
}

/// What to do to a recorded spec: leaves to set and leaves to take out.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct SpecPatch {
    pub set: Vec<Leaf>,
    pub unset: Vec<Vec<String>>,
}

/// Some differences that make something of nothing.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct FirstOfNew {
    pub changes: Vec<Change>,
    /// How many more there are.
    pub more: usize,
    /// How many are as they are without a word.
    pub defaults: usize,
}

impl SpecPatch {
    /// The patch that makes all of `spec` of nothing.
    #[must_use]
    pub fn of(spec: &Spec) -> Self {
        Self::between(&Spec::default(), spec, |_| true)
    }

    /// The patch that makes the leaves chosen by `carries` like those of `after`.
    #[must_use]
    pub fn between(before: &Spec, after: &Spec, carries: impl Fn(&[&str]) -> bool) -> Self {
        let mut patch = Self::default();
        // Both are in key order.
        let mut before = leaves(before.fields()).into_iter().peekable();
        let mut gone = |path: &[&str]| {
            if carries(path) {
                patch.unset.push(leaf::keys(path));
            }
        };
        for (path, value) in leaves(after.fields()) {
            while let Some((old, _)) = before.next_if(|(old, _)| *old < path) {
                gone(&old);
            }
            let old = before.next_if(|(old, _)| *old == path);
            if old.is_none_or(|(_, old)| old != value) && carries(&path) {
                patch.set.push(leaf::own(&path, value));
            }
        }
        for (old, _) in before {
            gone(&old);
        }
        patch
    }

    /// The patch that makes all of `spec` of nothing, of leaves that others have as well.
    #[must_use]
    pub fn of_shared(spec: &Spec, pool: &mut Pool) -> Self {
        let leaves = leaves(spec.fields()).into_iter();
        Self {
            set: leaves
                .map(|(path, value)| pool.leaf(&path, value))
                .collect(),
            unset: Vec::new(),
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
        let mut fields = spec.fields().clone();
        for path in &self.unset {
            remove(&mut fields, path);
        }
        for leaf in &self.set {
            let (path, value) = &**leaf;
            insert(&mut fields, path, value.clone());
        }
        Spec::new(fields)
    }

    /// Whether its leaves are in key order and none stands in the way of another, as those of a spec.
    #[must_use]
    pub fn is_canonical(&self) -> bool {
        let pairs = self.set.iter().zip(self.set.iter().skip(1));
        let mut pairs = pairs.map(|(one, next)| (&one.0, &next.0));
        self.unset.is_empty()
            && self.set.iter().all(|leaf| !leaf.0.is_empty())
            && pairs.all(|(one, next)| one < next && !next.starts_with(one))
    }

    /// The canonical JSON of what a patch that [is canonical](Self::is_canonical) makes of nothing.
    ///
    /// # Errors
    /// When a value cannot be written as JSON.
    pub fn json_of_new(&self) -> serde_json::Result<String> {
        let mut out = vec![b'{'];
        let mut within: &[String] = &[];
        for leaf in &self.set {
            let (path, value) = &**leaf;
            let Some((last, maps)) = path.split_last() else {
                continue;
            };
            let common = within.iter().zip(maps).take_while(|(a, b)| a == b).count();
            out.extend(std::iter::repeat_n(b'}', within.len() - common));
            if out.last() != Some(&b'{') {
                out.push(b',');
            }
            for key in &maps[common..] {
                serde_json::to_writer(&mut out, key)?;
                out.extend_from_slice(b":{");
            }
            serde_json::to_writer(&mut out, last)?;
            out.push(b':');
            serde_json::to_writer(&mut out, value)?;
            within = maps;
        }
        out.extend(std::iter::repeat_n(b'}', within.len() + 1));
        String::from_utf8(out).map_err(serde::de::Error::custom)
    }

    /// The text of a field at the top of what it makes of nothing.
    #[must_use]
    pub fn text_of_new(&self, field: &str) -> Option<&str> {
        let leaf = self.set.iter().find(|leaf| leaf.0 == [field])?;
        leaf.1.as_str()
    }

    /// The first `most` differences that make something of nothing, in key order. `defaults` are the leaves that it has
    /// without a word, in key order too: those are counted alone.
    #[must_use]
    pub fn first_of_new(&self, most: usize, defaults: &[LeafOf<'_>]) -> FirstOfNew {
        let mut found = FirstOfNew::default();
        let mut defaults = defaults.iter().peekable();
        for leaf in &self.set {
            let (path, value) = &**leaf;
            let to =
                |known: &LeafOf<'_>| known.0.iter().copied().cmp(path.iter().map(String::as_str));
            while defaults.next_if(|known| to(known).is_lt()).is_some() {}
            let is_default = defaults.next_if(|known| to(known).is_eq());
            if is_default.is_some_and(|known| known.1 == value) {
                found.defaults += 1;
            } else if found.changes.len() < most {
                describe(&path.join("."), &Value::Null, value, &mut found.changes);
            } else {
                found.more += named(value).map_or(1, |named| named.len().max(1));
            }
        }
        found.more += found.changes.len().saturating_sub(most);
        found.changes.truncate(most);
        found
    }

    /// The differences as a person reads them, named lists element by element.
    #[must_use]
    pub fn changes(&self, before: &Spec) -> Vec<Change> {
        let old = leaves(before.fields());
        let old = |path: &[String]| {
            let at = old.binary_search_by(|(old, _)| {
                old.iter().copied().cmp(path.iter().map(String::as_str))
            });
            at.map_or(&Value::Null, |at| old[at].1)
        };
        let mut changes = Vec::with_capacity(self.set.len() + self.unset.len());
        for leaf in &self.set {
            let (path, after) = &**leaf;
            describe(&path.join("."), old(path), after, &mut changes);
        }
        for path in &self.unset {
            describe(&path.join("."), old(path), &Value::Null, &mut changes);
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
        changes.push(Change::new(path, before.clone(), after.clone()));
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
            (a, b) => changes.push(Change::new(
                format!("{path}[{name}]"),
                a.map_or(Value::Null, |map| Value::Object((*map).clone())),
                b.map_or(Value::Null, |map| Value::Object((*map).clone())),
            )),
        }
    }
    if changes.len() == count {
        // Only the order differs.
        changes.push(Change::new(
            path.to_owned(),
            names_of(before),
            names_of(after),
        ));
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
            changes.push(Change::new(
                format!("{path}.{key}"),
                old.cloned().unwrap_or(Value::Null),
                new.cloned().unwrap_or(Value::Null),
            ));
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
            .prop_map(|map| Spec::new(map.into_iter().collect()))
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
        fn what_is_made_of_nothing_is_told_without_a_map(spec in any_spec(), most in 0_usize..9) {
            let patch = SpecPatch::of(&spec);
            prop_assert!(patch.is_canonical());
            prop_assert_eq!(patch.json_of_new().ok(), Some(spec.canonical()));
            prop_assert_eq!(patch.text_of_new("a"), spec.str("a"));
            let mut all = patch.changes(&Spec::default());
            let first = patch.first_of_new(most, &[]);
            prop_assert_eq!(first.defaults, 0);
            prop_assert_eq!(first.changes.len() + first.more, all.len());
            all.truncate(most);
            prop_assert_eq!(first.changes, all);
        }

        #[test]
        fn what_is_as_without_a_word_is_only_counted(spec in any_spec(), plain in any_spec()) {
            let found = SpecPatch::of(&spec).first_of_new(usize::MAX, &leaves(plain.fields()));
            let apart = SpecPatch::between(&plain, &spec, |_| true);
            let same = leaves(spec.fields()).len() - apart.set.len();
            prop_assert_eq!(found.defaults, same);
            let (set, unset) = (apart.set, Vec::new());
            prop_assert_eq!(found.changes, SpecPatch { set, unset }.changes(&Spec::default()));
        }

        #[test]
        fn patches_of_two_carriers_commute(a in any_spec(), b in any_spec()) {
            let first = SpecPatch::between(&a, &b, |path| path[0] < "b");
            let second = SpecPatch::between(&a, &b, |path| path[0] >= "b");
            prop_assert_eq!(second.apply(&first.apply(&a)), first.apply(&second.apply(&a)));
            prop_assert_eq!(second.apply(&first.apply(&a)), b);
        }
    }
}
