//! The leaves of a spec: what differences, patches and owners of fields are about.

use std::borrow::Borrow;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use super::fast_map::{HashMap, HashSet};
use serde_json::{Map, Value};

/// One scalar or list of a spec with the keys that lead to it. Lists are leaves: their order
/// may carry meaning, so they are replaced whole.
///
/// A clone shares it: the resources of a fleet have most of their leaves in common.
pub type Leaf = Arc<(Vec<String>, Value)>;

/// A leaf where it stands in a spec.
pub type LeafOf<'a> = (Vec<&'a str>, &'a Value);

/// Every leaf of the fields of a spec, in key order.
#[must_use]
pub fn leaves(fields: &Map<String, Value>) -> Vec<LeafOf<'_>> {
    let mut found = Vec::with_capacity(64);
    collect(fields, &mut Vec::new(), &mut found);
    found
}

fn collect<'a>(
    fields: &'a Map<String, Value>,
    path: &mut Vec<&'a str>,
    found: &mut Vec<LeafOf<'a>>,
) {
    for (key, value) in fields {
        path.push(key);
        match value {
            Value::Object(inner) if !inner.is_empty() => collect(inner, path, found),
            other => found.push((path.clone(), other)),
        }
        path.pop();
    }
}

/// A leaf of its own.
pub(super) fn own(path: &[&str], value: &Value) -> Leaf {
    Arc::new((keys(path), value.clone()))
}

pub(super) fn keys(path: &[&str]) -> Vec<String> {
    path.iter().map(|key| (*key).to_owned()).collect()
}

/// Leaves of many resources, each kept once.
#[derive(Debug)]
pub struct Pool {
    /// A tree of keys; the first is its root.
    places: Vec<Place>,
}

/// What is at a path.
#[derive(Debug, Default)]
struct Place {
    below: HashMap<String, usize>,
    leaves: HashSet<ByValue>,
}

impl Default for Pool {
    fn default() -> Self {
        Self {
            places: vec![Place::default()],
        }
    }
}

impl Pool {
    /// The leaf with this path and value.
    pub fn leaf(&mut self, path: &[&str], value: &Value) -> Leaf {
        let mut at = 0;
        for key in path {
            at = match self.places[at].below.get(*key) {
                Some(next) => *next,
                None => {
                    let next = self.places.len();
                    self.places.push(Place::default());
                    self.places[at].below.insert((*key).to_owned(), next);
                    next
                }
            };
        }
        let leaves = &mut self.places[at].leaves;
        if let Some(ByValue(known)) = leaves.get(value) {
            return Leaf::clone(known);
        }
        let leaf = own(path, value);
        leaves.insert(ByValue(Leaf::clone(&leaf)));
        leaf
    }
}

/// A leaf among others with the same path.
#[derive(Debug)]
struct ByValue(Leaf);

impl Borrow<Value> for ByValue {
    fn borrow(&self) -> &Value {
        &self.0.1
    }
}

impl Hash for ByValue {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.1.hash(state);
    }
}

impl PartialEq for ByValue {
    fn eq(&self, other: &Self) -> bool {
        self.0.1 == other.0.1
    }
}

impl Eq for ByValue {}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_resources_have_in_common_is_kept_once() {
        let mut pool = Pool::default();
        let one = pool.leaf(&["php", "memory"], &json!("256M"));
        assert!(Arc::ptr_eq(
            &one,
            &pool.leaf(&["php", "memory"], &json!("256M"))
        ));
        let others = [
            pool.leaf(&["php", "memory"], &json!("512M")),
            pool.leaf(&["php", "workers"], &json!("256M")),
            pool.leaf(&["memory"], &json!("256M")),
        ];
        assert!(others.iter().all(|other| *other != one));
    }
}
