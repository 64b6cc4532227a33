//! Checks a tree against the schema of its kind, tells every problem, and keeps what is right.

mod scalar;
mod walk;
mod words;

use serde_json::Value;

use super::tree::{Branch, Key, Tree};
use super::{Lost, Place, Problem, nearest};
use crate::core::document::scalar::quoted;
use crate::core::document::{DocumentKind, schema};
use walk::Walk;

/// What is left of a document without what is wrong in it.
#[derive(Debug)]
pub(crate) struct Salvage {
    /// None when a field that every document needs is wrong.
    pub(crate) value: Option<Value>,
    pub(crate) lost: Lost,
}

/// The kind of a document and where it is written.
pub(crate) fn kind(tree: &Tree) -> Result<(DocumentKind, Place), Problem> {
    const KINDS: &str = "use one of `Fleet`, `Node`, `Site`, `Environment`";
    if !matches!(tree.value, Branch::Map(_)) {
        let problem = Problem::new(tree.place, "wrong-type", "a document is a map of fields");
        return Err(problem.hint(Some("begin with `kind: Site`, for example".to_owned())));
    }
    let Some((key, value)) = tree.get("kind") else {
        let place = first_key(tree).map_or(tree.place, |key| key.place);
        let problem = Problem::new(place, "missing-kind", "the document has no `kind`");
        return Err(problem.hint(Some(
            "add `kind: Fleet`, `kind: Node`, `kind: Site` or `kind: Environment`".to_owned(),
        )));
    };
    let Branch::Scalar { text, .. } = &value.value else {
        let problem = Problem::new(
            value_place(key.place, value),
            "wrong-type",
            "`kind` is a word",
        );
        return Err(problem.hint(Some(KINDS.to_owned())));
    };
    if let Some(kind) = DocumentKind::ALL.iter().find(|kind| kind.as_str() == text) {
        return Ok((*kind, key.place));
    }
    let names = DocumentKind::ALL.iter().map(|kind| kind.as_str());
    let hint = nearest(text, names).map_or_else(
        || KINDS.to_owned(),
        |name| format!("did you mean `{name}`?"),
    );
    let message = format!("{} is not a kind", quoted(text));
    Err(Problem::new(value.place, "unknown-kind", message).hint(Some(hint)))
}

/// Tells every problem of a document of this kind and keeps the rest.
pub(crate) fn document(kind: DocumentKind, tree: &Tree, problems: &mut Vec<Problem>) -> Salvage {
    let root = schema::of(kind);
    let place = tree.get("kind").map_or(tree.place, |(key, _)| key.place);
    let mut walk = Walk::new(root, problems);
    let value = walk.value(root, tree, place, "");
    Salvage {
        value,
        lost: walk.lost,
    }
}

fn first_key(tree: &Tree) -> Option<&Key> {
    match &tree.value {
        Branch::Map(entries) => entries.first().map(|(key, _)| key),
        Branch::List(_) | Branch::Scalar { .. } | Branch::Null => None,
    }
}

/// A missing value has no place, so its key stands for it.
fn value_place(key: Place, value: &Tree) -> Place {
    if value.value == Branch::Null {
        key
    } else {
        value.place
    }
}
