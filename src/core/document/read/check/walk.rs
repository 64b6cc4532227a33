//! Walks maps and lists.

use std::collections::{HashMap, HashSet};

use serde_json::{Map, Value};

use super::value_place;
use super::words::{all_of, child, example, expected, found, how_to_write, one_of, types};
use crate::core::document::read::tree::{Branch, Key, Tree};
use crate::core::document::read::{Lost, MOST_PROBLEMS, Place, Problem, nearest};
use crate::core::document::scalar::{check_format, quoted};

type Fields = Map<String, Value>;

/// A walk through one document.
pub(super) struct Walk<'a> {
    root: &'a Value,
    problems: &'a mut Vec<Problem>,
    pub(super) lost: Lost,
}

impl<'a> Walk<'a> {
    pub(super) fn new(root: &'a Value, problems: &'a mut Vec<Problem>) -> Self {
        Self {
            root,
            problems,
            lost: Lost::default(),
        }
    }

    /// Tells a problem of the value at `path`, which is lost by it.
    pub(super) fn report(
        &mut self,
        path: &str,
        place: Place,
        code: &'static str,
        message: String,
        hint: Option<String>,
    ) {
        let top = path.split(['.', '[']).next().unwrap_or_default();
        self.lost.add_field(top);
        if self.problems.len() >= MOST_PROBLEMS {
            return;
        }
        self.problems
            .push(Problem::new(place, code, message).hint(hint));
    }

    fn resolve(&self, schema: &'a Value) -> &'a Value {
        let reference = schema.get("$ref").and_then(Value::as_str);
        let name = reference.and_then(|reference| reference.rsplit('/').next());
        name.and_then(|name| self.root.get("$defs")?.get(name))
            .unwrap_or(schema)
    }

    /// The value as its schema wants it, or none when it is wrong. `owner` is where the key,
    /// or the list item, that holds it begins.
    pub(super) fn value(
        &mut self,
        schema: &'a Value,
        tree: &Tree,
        owner: Place,
        path: &str,
    ) -> Option<Value> {
        let schema = self.resolve(schema);
        let place = value_place(owner, tree);
        if let Some(words) = words_of(schema) {
            return self.word(&words, tree, place, path);
        }
        let types = types(schema);
        let is = |name: &str| types.contains(&name);
        match &tree.value {
            Branch::Map(entries) if is("object") => self.map(schema, entries, owner, path),
            Branch::List(items) if is("array") => self.list(schema, items, path),
            Branch::Scalar { text, quoted } if !is("object") && !is("array") => {
                self.scalar(schema, &types, text, *quoted, place, path)
            }
            Branch::Null => {
                let hint = format!("write {}, or remove the field", expected(schema, &types));
                let message = format!("`{path}` has no value");
                self.report(path, place, "wrong-type", message, Some(hint));
                None
            }
            Branch::Map(_) | Branch::List(_) | Branch::Scalar { .. } => {
                let hint = place_of_source(path, &tree.value);
                let hint = Some(hint.unwrap_or_else(|| how_to_write(schema, &types)));
                let (expected, found) = (expected(schema, &types), found(&tree.value));
                let message = format!("`{path}` must be {expected}, not {found}");
                self.report(path, place, "wrong-type", message, hint);
                None
            }
        }
    }

    /// Of a list, the right items are kept; the others are remembered, so that the place of an
    /// item that moved up can still be told.
    fn list(&mut self, schema: &'a Value, items: &[Tree], path: &str) -> Option<Value> {
        let inner = schema.get("items")?;
        let mut kept = Vec::with_capacity(items.len());
        for (index, item) in items.iter().enumerate() {
            match self.value(inner, item, item.place, &format!("{path}[{index}]")) {
                Some(value) => kept.push(value),
                None => self.lost.add_item(path, index),
            }
        }
        Some(Value::Array(kept))
    }

    fn map(
        &mut self,
        schema: &'a Value,
        entries: &[(Key, Tree)],
        owner: Place,
        path: &str,
    ) -> Option<Value> {
        let fields = schema.get("properties").and_then(Value::as_object);
        let others = schema
            .get("additionalProperties")
            .filter(|others| others.is_object());
        let mut kept = Fields::new();
        let mut written: HashSet<&str> = HashSet::new();
        let mut first: HashMap<&str, usize> = HashMap::with_capacity(entries.len());
        for (index, (key, _)) in entries.iter().enumerate() {
            first.entry(key.text.as_str()).or_insert(index);
        }
        for (index, (key, value)) in entries.iter().enumerate() {
            let (first_key, _) = &entries[first[key.text.as_str()]];
            if first[key.text.as_str()] != index {
                let inner = child(path, &key.text);
                let message = format!("`{inner}` is written twice");
                let hint = Some(format!("the first one is in line {}", first_key.place.line));
                self.report(&inner, key.place, "duplicate-field", message, hint);
                continue;
            }
            let field = fields.and_then(|fields| fields.get_key_value(&key.text));
            let (name, value) = match (field, others) {
                (Some((name, field)), _) => {
                    let inner = child(path, name);
                    (name.as_str(), self.value(field, value, key.place, &inner))
                }
                (None, Some(others)) => {
                    let inner = child(path, &key.text);
                    let sound = self.key(schema, key, &inner);
                    let value = self.value(others, value, key.place, &inner);
                    (key.text.as_str(), value.filter(|_| sound))
                }
                (None, None) => match self.unknown(schema, fields, &first, key, path) {
                    Some((name, field)) => {
                        let inner = child(path, name);
                        (name, self.value(field, value, key.place, &inner))
                    }
                    None => continue,
                },
            };
            written.insert(name);
            kept.extend(value.map(|value| (name.to_owned(), value)));
        }
        let complete = self.required(schema, fields, &written, &mut kept, owner, path);
        complete.then_some(Value::Object(kept))
    }

    /// Whether the key of a map that operators fill is one that may be there.
    fn key(&mut self, schema: &Value, key: &Key, path: &str) -> bool {
        let format = schema
            .get("propertyNames")
            .and_then(|names| names.get("format")?.as_str());
        match format.and_then(|format| check_format(format, &key.text)) {
            Some(Err(malformed)) => {
                let (message, hint) = (malformed.message, malformed.hint);
                self.report(path, key.place, "invalid-value", message, hint);
                false
            }
            Some(Ok(())) | None => true,
        }
    }

    /// Tells what is missing, and whether everything that must be there is there and right, or
    /// has something in its place.
    fn required(
        &mut self,
        schema: &'a Value,
        fields: Option<&'a Fields>,
        written: &HashSet<&str>,
        kept: &mut Fields,
        owner: Place,
        path: &str,
    ) -> bool {
        let names = schema.get("required").and_then(Value::as_array);
        let mut complete = true;
        for name in names.into_iter().flatten().filter_map(Value::as_str) {
            if path.is_empty()
                && !kept.contains_key(name)
                && let Some(value) = stand_in(schema, name)
            {
                kept.insert(name.to_owned(), value);
            }
            complete &= kept.contains_key(name);
            if written.contains(name) {
                continue;
            }
            let of = if path.is_empty() {
                "the document".to_owned()
            } else {
                format!("`{path}`")
            };
            let field = fields.and_then(|fields| fields.get(name));
            let hint = field.and_then(|field| {
                let field = self.resolve(field);
                let words =
                    words_of(field).map(|words| format!("add `{name}` with {}", one_of(&words)));
                words.or_else(|| example(field).map(|example| format!("add `{name}: {example}`")))
            });
            let hint = hint.or_else(|| Some(format!("add `{name}`")));
            let message = format!("{of} has no `{name}`");
            self.report(&child(path, name), owner, "missing-field", message, hint);
        }
        complete
    }

    /// Tells of an unknown field and returns the one that was meant.
    fn unknown(
        &mut self,
        schema: &'a Value,
        fields: Option<&'a Fields>,
        written: &HashMap<&str, usize>,
        key: &Key,
        path: &str,
    ) -> Option<(&'a str, &'a Value)> {
        if self.problems.len() >= MOST_PROBLEMS {
            // It would not be told, so nobody needs to know what was meant.
            self.report(
                &child(path, &key.text),
                key.place,
                "unknown-field",
                String::new(),
                None,
            );
            return None;
        }
        let is_free = |name: &&str| !written.contains_key(*name);
        let free: Vec<&'a str> = fields
            .into_iter()
            .flat_map(|fields| fields.keys().map(String::as_str))
            .filter(is_free)
            .collect();
        let of = match path {
            "" => schema
                .get("title")
                .and_then(Value::as_str)
                .unwrap_or("document")
                .to_owned(),
            path => format!("`{path}`"),
        };
        let meant = nearest(&key.text, free.iter().copied());
        let there = fields
            .into_iter()
            .flat_map(|fields| fields.keys().map(String::as_str));
        let hint = meant
            .map(|name| format!("did you mean `{name}`?"))
            .or_else(|| self.home(fields?, &key.text, path))
            .or_else(|| {
                let name = nearest(&key.text, there)?;
                Some(format!("did you mean `{name}`, which is there already?"))
            })
            .or_else(|| (!free.is_empty()).then(|| format!("{of} can have {}", all_of(&free))));
        let message = format!("{of} has no field {}", quoted(&key.text));
        let inner = child(path, &key.text);
        self.report(&inner, key.place, "unknown-field", message, hint);
        let name = meant?;
        Some((name, fields?.get(name)?))
    }

    /// Where a field belongs that stands one level too high.
    fn home(&self, fields: &'a Fields, name: &str, path: &str) -> Option<String> {
        let (block, _) = fields.iter().find(|(_, field)| {
            let inner = self.resolve(field).get("properties");
            inner.is_some_and(|inner| inner.get(name).is_some())
        })?;
        Some(format!("`{name}` belongs below `{}`", child(path, block)))
    }
}

/// How a source is written that stands there as an address or a path alone.
fn place_of_source(path: &str, value: &Branch) -> Option<String> {
    let is_source = matches!(
        path,
        "sources.wordpress" | "sources.wp_cli" | "sources.object_cache"
    );
    let Branch::Scalar { text, .. } = value else {
        return None;
    };
    let name = text.rsplit('/').next().filter(|_| is_source)?;
    let (field, place, before) = match text.contains("://") {
        true => ("url", text.as_str(), String::new()),
        false => (
            "path",
            name,
            "put the file into the directory of sources of the control plane and ".to_owned(),
        ),
    };
    Some(format!(
        "{before}write `{{ {field}: {place}, sha256: DIGEST }}` with what `sha256sum` prints of it"
    ))
}

/// What takes the place of a field that every document of a kind needs and that is wrong, where
/// the rules about several documents can do without it.
fn stand_in(schema: &Value, name: &str) -> Option<Value> {
    let kind = schema.get("title").and_then(Value::as_str)?;
    match (kind, name) {
        ("Fleet", "version") => Some(Value::from(1)),
        ("Fleet", "name") => Some(Value::from("fleet")),
        ("Node", "host") => Some(Value::from("unreadable.invalid")),
        _ => None,
    }
}

/// The words of a schema that allows only some.
fn words_of(schema: &Value) -> Option<Vec<&str>> {
    if let Some(word) = schema.get("const").and_then(Value::as_str) {
        return Some(vec![word]);
    }
    if let Some(alternatives) = schema.get("oneOf").and_then(Value::as_array) {
        return Some(
            alternatives
                .iter()
                .filter_map(|one| one.get("const")?.as_str())
                .collect(),
        );
    }
    let words = schema.get("enum").and_then(Value::as_array)?;
    words.iter().map(Value::as_str).collect()
}
