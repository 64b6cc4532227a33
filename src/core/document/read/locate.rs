//! Finds the place of a value in a file that is known to be well-formed.

use super::split::{Segment, segments};
use super::tree::{self, Branch, Tree};

/// A place in a file, from 1; columns and lengths are in characters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) line: usize,
    pub(crate) column: usize,
    pub(crate) length: usize,
}

/// One step on the way to a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// The value of a key.
    Field(&'static str),
    /// The value of a key that the operator chose.
    Entry(String),
    /// An item of a list.
    Item(usize),
}

/// The trees of one file; reading them is slow, so it happens once and only for files with
/// problems.
#[derive(Debug)]
pub(crate) struct Locator {
    trees: Vec<Tree>,
}

impl Locator {
    pub(crate) fn new(text: &str) -> Self {
        let trees = segments(text).filter_map(|segment: Segment<'_>| tree::read(&segment).ok());
        Self {
            trees: trees.collect(),
        }
    }

    /// The best that can be said about a file that cannot be read again.
    pub(crate) fn nowhere(line: usize) -> Place {
        Place {
            line,
            column: 1,
            length: 1,
        }
    }

    /// The place of the value at `path` in the document whose `kind` is in `line`. Where a
    /// part of the path is not written, what is written of it counts.
    pub(crate) fn find(&self, line: usize, path: &[Step]) -> Place {
        let document = self.trees.iter().find_map(|tree| {
            let (key, _) = tree.get("kind")?;
            (key.place.line == line).then_some((tree, key.place))
        });
        let Some((mut tree, mut place)) = document else {
            return Place {
                line,
                column: 1,
                length: 1,
            };
        };
        for step in path {
            let next = match step {
                Step::Field(name) => tree.get(name),
                Step::Entry(name) => tree.get(name),
                Step::Item(index) => match &tree.value {
                    Branch::List(items) => {
                        if let Some(item) = items.get(*index) {
                            tree = item;
                            place = item.place;
                            continue;
                        }
                        None
                    }
                    Branch::Map(_) | Branch::Scalar { .. } | Branch::Null => None,
                },
            };
            let Some((key, value)) = next else {
                return place;
            };
            tree = value;
            place = match &value.value {
                Branch::Scalar { .. } => value.place,
                Branch::Map(_) | Branch::List(_) | Branch::Null => key.place,
            };
        }
        place
    }
}
