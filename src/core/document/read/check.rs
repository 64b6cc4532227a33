//! Walks a tree against the schema of its kind and tells every problem.

use serde_json::{Map, Value};

use super::tree::{Branch, Key, Tree};
use super::{Place, Problem, nearest};
use crate::core::document::scalar::{check_format, quoted};
use crate::core::document::{DocumentKind, schema};

/// The kind of a document and where it is written.
pub(crate) fn kind(tree: &Tree) -> Result<(DocumentKind, Place), Problem> {
    if !matches!(tree.value, Branch::Map(_)) {
        return Err(
            Problem::new(tree.place, "wrong-type", "a document is a map of fields")
                .hint(Some("begin with `kind: Site`, for example".to_owned())),
        );
    }
    let Some((key, value)) = tree.get("kind") else {
        let place = first_key(tree).map_or(tree.place, |key| key.place);
        return Err(
            Problem::new(place, "missing-kind", "the document has no `kind`").hint(Some(
                "add `kind: Fleet`, `kind: Node`, `kind: Site` or `kind: Environment`".to_owned(),
            )),
        );
    };
    let names = DocumentKind::ALL.iter().map(|kind| kind.as_str());
    if let Branch::Scalar { text, .. } = &value.value {
        if let Some(kind) = DocumentKind::ALL.iter().find(|kind| kind.as_str() == text) {
            return Ok((*kind, key.place));
        }
        let hint = nearest(text, names).map_or_else(
            || "use one of `Fleet`, `Node`, `Site`, `Environment`".to_owned(),
            |name| format!("did you mean `{name}`?"),
        );
        return Err(Problem::new(
            value.place,
            "unknown-kind",
            format!("{} is not a kind", quoted(text)),
        )
        .hint(Some(hint)));
    }
    Err(Problem::new(
        value_place(key.place, value),
        "wrong-type",
        "`kind` is a word",
    )
    .hint(Some(
        "use one of `Fleet`, `Node`, `Site`, `Environment`".to_owned(),
    )))
}

/// Tells every problem of a document of this kind.
pub(crate) fn document(kind: DocumentKind, tree: &Tree, problems: &mut Vec<Problem>) {
    let root = schema::of(kind);
    let place = tree.get("kind").map_or(tree.place, |(key, _)| key.place);
    let mut walk = Walk { root, problems };
    walk.value(root, tree, place, "");
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

struct Walk<'a> {
    root: &'a Value,
    problems: &'a mut Vec<Problem>,
}

impl<'a> Walk<'a> {
    fn report(&mut self, place: Place, code: &'static str, message: String, hint: Option<String>) {
        self.problems
            .push(Problem::new(place, code, message).hint(hint));
    }

    fn resolve(&self, schema: &'a Value) -> &'a Value {
        match schema.get("$ref").and_then(Value::as_str) {
            Some(reference) => {
                let name = reference.rsplit('/').next().unwrap_or_default();
                self.root
                    .get("$defs")
                    .and_then(|all| all.get(name))
                    .unwrap_or(schema)
            }
            None => schema,
        }
    }

    /// `owner` is where the key, or the list item, that holds the value begins.
    fn value(&mut self, schema: &'a Value, tree: &Tree, owner: Place, path: &str) {
        let schema = self.resolve(schema);
        let place = value_place(owner, tree);
        if let Some(alternatives) = schema.get("oneOf").and_then(Value::as_array) {
            let words = alternatives
                .iter()
                .filter_map(|one| one.get("const")?.as_str());
            self.word(&words.collect::<Vec<_>>(), tree, place, path);
            return;
        }
        if let Some(words) = schema.get("enum").and_then(Value::as_array)
            && words.iter().all(Value::is_string)
        {
            let words: Vec<&str> = words.iter().filter_map(Value::as_str).collect();
            self.word(&words, tree, place, path);
            return;
        }
        if let Some(word) = schema.get("const").and_then(Value::as_str) {
            self.word(&[word], tree, place, path);
            return;
        }
        let types = types(schema);
        match &tree.value {
            Branch::Map(entries) if types.contains(&"object") => {
                self.map(schema, entries, owner, path);
            }
            Branch::List(items) if types.contains(&"array") => {
                if let Some(inner) = schema.get("items") {
                    for (index, item) in items.iter().enumerate() {
                        self.value(inner, item, item.place, &format!("{path}[{index}]"));
                    }
                }
            }
            Branch::Scalar { text, quoted } if is_scalar(&types) => {
                self.scalar(schema, &types, text, *quoted, place, path);
            }
            Branch::Null => {
                let hint = format!("write {}, or remove the field", expected(schema, &types));
                self.report(
                    place,
                    "wrong-type",
                    format!("`{path}` has no value"),
                    Some(hint),
                );
            }
            Branch::Map(_) | Branch::List(_) | Branch::Scalar { .. } => {
                let found = found(&tree.value);
                let hint = example(schema).map(|example| format!("for example `{example}`"));
                let expected = expected(schema, &types);
                let message = format!("`{path}` must be {expected}, not {found}");
                self.report(place, "wrong-type", message, hint);
            }
        }
    }

    fn word(&mut self, words: &[&'a str], tree: &Tree, place: Place, path: &str) {
        let Branch::Scalar { text, .. } = &tree.value else {
            let hint = Some(format!("use {}", one_of(words)));
            let message = match &tree.value {
                Branch::Null => format!("`{path}` has no value"),
                other => format!("`{path}` must be a word, not {}", found(other)),
            };
            return self.report(place, "wrong-type", message, hint);
        };
        if words.contains(&text.as_str()) {
            return;
        }
        let hint = nearest(text, words.iter().copied()).map_or_else(
            || format!("use {}", one_of(words)),
            |word| format!("did you mean `{word}`?"),
        );
        let message = format!("{} is not a value of `{path}`", quoted(text));
        self.report(place, "unknown-value", message, Some(hint));
    }

    fn map(&mut self, schema: &'a Value, entries: &[(Key, Tree)], owner: Place, path: &str) {
        let properties = schema.get("properties").and_then(Value::as_object);
        let others = schema
            .get("additionalProperties")
            .filter(|others| others.is_object());
        let key_format = schema
            .get("propertyNames")
            .and_then(|names| names.get("format")?.as_str());
        let mut meant = Vec::new();
        for (index, (key, value)) in entries.iter().enumerate() {
            let inner = child(path, &key.text);
            if let Some((first, _)) = entries[..index].iter().find(|(k, _)| k.text == key.text) {
                let message = format!("`{inner}` is written twice");
                let hint = Some(format!("the first one is in line {}", first.place.line));
                self.report(key.place, "duplicate-field", message, hint);
                continue;
            }
            if let Some(property) = properties.and_then(|all| all.get(&key.text)) {
                self.value(property, value, key.place, &inner);
            } else if let Some(others) = others {
                let checked = key_format.and_then(|format| check_format(format, &key.text));
                if let Some(Err(malformed)) = checked {
                    self.report(
                        key.place,
                        "invalid-value",
                        malformed.message,
                        malformed.hint,
                    );
                }
                self.value(others, value, key.place, &inner);
            } else {
                meant.extend(self.unknown(schema, properties, entries, key, path));
            }
        }
        let required = schema.get("required").and_then(Value::as_array);
        for name in required.into_iter().flatten().filter_map(Value::as_str) {
            let written = entries.iter().any(|(key, _)| key.text == name);
            if !written && !meant.contains(&name) {
                let of = if path.is_empty() {
                    "the document"
                } else {
                    path
                };
                let of = if path.is_empty() {
                    of.to_owned()
                } else {
                    format!("`{of}`")
                };
                let property = properties
                    .and_then(|all| all.get(name))
                    .map(|p| self.resolve(p));
                let hint = property
                    .and_then(example)
                    .map(|e| format!("add `{name}: {e}`"));
                self.report(
                    owner,
                    "missing-field",
                    format!("{of} has no `{name}`"),
                    hint,
                );
            }
        }
    }

    /// Reports an unknown field and returns the one that was meant.
    fn unknown(
        &mut self,
        schema: &'a Value,
        properties: Option<&'a Map<String, Value>>,
        entries: &[(Key, Tree)],
        key: &Key,
        path: &str,
    ) -> Option<&'a str> {
        let free = || {
            let names = properties.into_iter().flat_map(|all| all.keys());
            names
                .map(String::as_str)
                .filter(|n| !entries.iter().any(|(key, _)| key.text == *n))
        };
        let where_ = match path {
            "" => schema
                .get("title")
                .and_then(Value::as_str)
                .unwrap_or("document")
                .to_owned(),
            path => format!("`{path}`"),
        };
        let meant = nearest(&key.text, free());
        let hint = meant
            .map(|name| format!("did you mean `{name}`?"))
            .or_else(|| self.home(properties?, &key.text, path))
            .or_else(|| {
                let names: Vec<&str> = free().collect();
                (!names.is_empty()).then(|| format!("{where_} can have {}", all_of(&names)))
            });
        let message = format!("{where_} has no field {}", quoted(&key.text));
        self.report(key.place, "unknown-field", message, hint);
        meant
    }

    /// Where a field belongs that stands one level too high.
    fn home(&self, properties: &'a Map<String, Value>, name: &str, path: &str) -> Option<String> {
        let block = properties.iter().find(|(_, property)| {
            let inner = self.resolve(property).get("properties");
            inner.is_some_and(|inner| inner.get(name).is_some())
        })?;
        Some(format!("`{name}` belongs below `{}`", child(path, block.0)))
    }

    fn scalar(
        &mut self,
        schema: &Value,
        types: &[&str],
        text: &str,
        quoted_text: bool,
        place: Place,
        path: &str,
    ) {
        if types.contains(&"string") {
            let format = schema
                .get("format")
                .and_then(Value::as_str)
                .unwrap_or_default();
            if format == "value" && !quoted_text && is_ambiguous(text) {
                let message = format!("`{path}` is a fraction, which could lose digits");
                let hint = Some(format!("write it in quotes: `\"{text}\"`"));
                return self.report(place, "invalid-value", message, hint);
            }
            if let Some(Err(malformed)) = check_format(format, text) {
                let secret = format == "secret-ref" && !text.starts_with("secret:");
                let (code, message) = if secret {
                    ("literal-secret", format!("`{path}` holds a literal value"))
                } else {
                    ("invalid-value", format!("`{path}`: {}", malformed.message))
                };
                self.report(place, code, message, malformed.hint);
            }
            return;
        }
        if types.contains(&"boolean") {
            if quoted_text
                || !matches!(text, "true" | "True" | "TRUE" | "false" | "False" | "FALSE")
            {
                let meant = matches!(
                    text.to_lowercase().as_str(),
                    "true" | "yes" | "on" | "y" | "1"
                );
                let hint = Some(format!("write `{meant}`"));
                let message = format!("`{path}` must be `true` or `false`, not {}", quoted(text));
                let no = matches!(
                    text.to_lowercase().as_str(),
                    "false" | "no" | "off" | "n" | "0"
                );
                let hint = if meant || no { hint } else { None };
                self.report(place, "wrong-type", message, hint);
            }
            return;
        }
        self.number(schema, text, quoted_text, place, path);
    }

    fn number(&mut self, schema: &Value, text: &str, quoted_text: bool, place: Place, path: &str) {
        let limit = |name: &str| schema.get(name).and_then(Value::as_i64);
        let Some(number) = text.parse::<i64>().ok().filter(|_| !quoted_text) else {
            let hint = quoted_text.then(|| "write it without quotes".to_owned());
            let hint = hint.or_else(|| example(schema).map(|e| format!("for example `{e}`")));
            let message = format!("`{path}` must be a whole number, not {}", quoted(text));
            return self.report(place, "wrong-type", message, hint);
        };
        if let Some(values) = schema.get("enum").and_then(Value::as_array) {
            if !values.iter().any(|value| value.as_i64() == Some(number)) {
                let values: Vec<String> = values.iter().map(Value::to_string).collect();
                let values: Vec<&str> = values.iter().map(String::as_str).collect();
                let hint = Some(format!("use {}", one_of(&values)));
                let message = format!("`{path}` cannot be {number}");
                self.report(place, "unknown-value", message, hint);
            }
            return;
        }
        let (least, most) = (limit("minimum"), limit("maximum"));
        if least.is_some_and(|least| number < least) || most.is_some_and(|most| number > most) {
            let hint = match (least, most) {
                (Some(least), Some(most)) => format!("use a number from {least} to {most}"),
                (Some(least), None) => format!("use a number from {least} upwards"),
                (None, Some(most)) => format!("use a number up to {most}"),
                (None, None) => String::new(),
            };
            let message = format!("`{path}` cannot be {number}");
            self.report(place, "invalid-value", message, Some(hint));
        }
    }
}

fn child(path: &str, name: &str) -> String {
    let name: String = name.chars().take(60).collect();
    if path.is_empty() {
        name
    } else {
        format!("{path}.{name}")
    }
}

fn types(schema: &Value) -> Vec<&str> {
    match schema.get("type") {
        Some(Value::String(name)) => vec![name.as_str()],
        Some(Value::Array(names)) => names.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    }
}

fn is_scalar(types: &[&str]) -> bool {
    types
        .iter()
        .any(|name| matches!(*name, "string" | "integer" | "number" | "boolean"))
}

/// A plain scalar that YAML takes for a fraction or for a number that is too large.
fn is_ambiguous(text: &str) -> bool {
    let number = text.starts_with(|c: char| c.is_ascii_digit() || "+-.".contains(c));
    let digits = text.trim_start_matches(['+', '-']);
    let leading_zero =
        digits.len() > 1 && digits.starts_with('0') && digits.bytes().all(|b| b.is_ascii_digit());
    let special = matches!(digits.to_ascii_lowercase().as_str(), ".inf" | ".nan");
    number
        && !leading_zero
        && text.parse::<i64>().is_err()
        && (text.parse::<f64>().is_ok() || special)
}

fn found(value: &Branch) -> &'static str {
    match value {
        Branch::Map(_) => "a map",
        Branch::List(_) => "a list",
        Branch::Scalar { .. } => "a single value",
        Branch::Null => "nothing",
    }
}

fn expected(schema: &Value, types: &[&str]) -> String {
    match types.first() {
        Some(&"object") => "a map of fields".to_owned(),
        Some(&"array") => "a list".to_owned(),
        Some(&"boolean") => "`true` or `false`".to_owned(),
        Some(&"integer") => "a whole number".to_owned(),
        _ => match example(schema) {
            Some(example) => format!("a value such as `{example}`"),
            None => "a single value".to_owned(),
        },
    }
}

fn example(schema: &Value) -> Option<String> {
    match schema.get("examples")?.as_array()?.first()? {
        Value::String(text) => Some(text.clone()),
        other => Some(other.to_string()),
    }
}

fn one_of(words: &[&str]) -> String {
    match words {
        [only] => format!("`{only}`"),
        words => format!("one of {}", all_of(words)),
    }
}

fn all_of(words: &[&str]) -> String {
    let words: Vec<String> = words.iter().map(|word| format!("`{word}`")).collect();
    words.join(", ")
}
