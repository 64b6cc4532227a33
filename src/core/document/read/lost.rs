//! What of a document with mistakes is not there any more.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use super::Step;

/// What was left out of a document because it is wrong.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Lost {
    /// The fields at the top below which something is wrong.
    fields: BTreeSet<String>,
    /// By the path of a list as it is written, the positions of its items that were left out, in
    /// ascending order.
    items: BTreeMap<String, Vec<usize>>,
}

impl Lost {
    /// Whether something below this field at the top is wrong.
    #[must_use]
    pub fn field(&self, name: &str) -> bool {
        self.fields.contains(name)
    }

    pub(crate) fn add_field(&mut self, name: &str) {
        if !self.fields.contains(name) {
            self.fields.insert(name.to_owned());
        }
    }

    /// Item `index` of the list at `path` was left out. Lists are walked from their beginning.
    pub(super) fn add_item(&mut self, path: &str, index: usize) {
        self.items.entry(path.to_owned()).or_default().push(index);
    }

    /// The path, in the document as it is written, of what is at `path` in what is left of it.
    pub(crate) fn as_written(&self, mut path: Vec<Step>) -> Vec<Step> {
        if self.items.is_empty() {
            return path;
        }
        let mut written = String::new();
        for step in &mut path {
            match step {
                Step::Field(name) => push_field(&mut written, name),
                Step::Entry(name) => push_field(&mut written, name),
                Step::Item(index) => {
                    if let Some(left_out) = self.items.get(&written) {
                        *index += left_out_before(left_out, *index);
                    }
                    // Writing to a string cannot fail.
                    let _ = write!(written, "[{index}]");
                }
            }
        }
        path
    }
}

/// How many of the ascending positions `left_out` lie before the item that is at `index` without them.
fn left_out_before(left_out: &[usize], index: usize) -> usize {
    let (mut low, mut high) = (0, left_out.len());
    while low < high {
        let middle = low + (high - low) / 2;
        // So many items were kept before this one that was not.
        if left_out[middle] - middle <= index {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    low
}

fn push_field(path: &mut String, name: &str) {
    if !path.is_empty() {
        path.push('.');
    }
    path.push_str(name);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn every_item_that_was_kept_is_found_where_it_was_written(kept in prop::collection::vec(any::<bool>(), 0..60)) {
            let mut lost = Lost::default();
            for (index, kept) in kept.iter().enumerate() {
                if !kept {
                    lost.add_item("domains", index);
                }
            }
            let written = (0..kept.len()).filter(|index| kept[*index]);
            for (position, index) in written.enumerate() {
                let path = vec![Step::Field("domains"), Step::Item(position), Step::Field("name")];
                let expected = vec![Step::Field("domains"), Step::Item(index), Step::Field("name")];
                prop_assert_eq!(lost.as_written(path), expected);
            }
        }
    }
}
