//! Checks single values.

use serde_json::{Value, json};

use super::walk::Walk;
use super::words::{example, found, one_of};
use crate::core::document::read::tree::{Branch, Tree};
use crate::core::document::read::{Place, nearest};
use crate::core::document::scalar::{check_format, quoted};

impl Walk<'_> {
    /// One of a few words. Where it is clear which one was meant, that one is kept.
    pub(super) fn word(
        &mut self,
        words: &[&str],
        tree: &Tree,
        place: Place,
        path: &str,
    ) -> Option<Value> {
        let Branch::Scalar { text, .. } = &tree.value else {
            let hint = Some(format!("use {}", one_of(words)));
            let message = match &tree.value {
                Branch::Null => format!("`{path}` has no value"),
                other => format!("`{path}` must be a word, not {}", found(other)),
            };
            self.report(path, place, "wrong-type", message, hint);
            return None;
        };
        if words.contains(&text.as_str()) {
            return Some(json!(text));
        }
        let meant = nearest(text, words.iter().copied());
        let hint = meant.map_or_else(
            || format!("use {}", one_of(words)),
            |word| format!("did you mean `{word}`?"),
        );
        let message = format!("{} is not a value of `{path}`", quoted(text));
        self.report(path, place, "unknown-value", message, Some(hint));
        meant.map(|word| json!(word))
    }

    pub(super) fn scalar(
        &mut self,
        schema: &Value,
        types: &[&str],
        text: &str,
        is_quoted: bool,
        place: Place,
        path: &str,
    ) -> Option<Value> {
        if types.contains(&"string") {
            self.text(schema, text, is_quoted, place, path)
        } else if types.contains(&"boolean") {
            self.boolean(text, is_quoted, place, path)
        } else {
            self.number(schema, text, is_quoted, place, path)
        }
    }

    fn text(
        &mut self,
        schema: &Value,
        text: &str,
        is_quoted: bool,
        place: Place,
        path: &str,
    ) -> Option<Value> {
        let format = schema
            .get("format")
            .and_then(Value::as_str)
            .unwrap_or_default();
        if format == "value" && !is_quoted {
            if is_ambiguous(text) {
                let message = format!("`{path}` is a fraction, which could lose digits");
                let hint = Some(format!("write it in quotes: `\"{text}\"`"));
                self.report(path, place, "invalid-value", message, hint);
                return None;
            }
            if let Some(value) = boolean(text).map(Value::Bool) {
                return Some(value);
            }
            if let Some(number) = text.parse::<i64>().ok().filter(|_| !has_leading_zero(text)) {
                return Some(json!(number));
            }
        }
        let Some(Err(malformed)) = check_format(format, text) else {
            return Some(json!(text));
        };
        let (code, message) = if format == "secret-ref" && !text.starts_with("secret:") {
            ("literal-secret", format!("`{path}` holds a literal value"))
        } else {
            ("invalid-value", format!("`{path}`: {}", malformed.message))
        };
        let example = || example(schema).map(|example| format!("for example `{example}`"));
        let hint = malformed.hint.or_else(example);
        self.report(path, place, code, message, hint);
        None
    }

    fn boolean(&mut self, text: &str, is_quoted: bool, place: Place, path: &str) -> Option<Value> {
        if let Some(value) = boolean(text).filter(|_| !is_quoted) {
            return Some(Value::Bool(value));
        }
        let meant = match text.to_lowercase().as_str() {
            "true" | "yes" | "on" | "y" | "1" => Some(true),
            "false" | "no" | "off" | "n" | "0" => Some(false),
            _ => None,
        };
        let message = format!("`{path}` must be `true` or `false`, not {}", quoted(text));
        let hint = match meant {
            Some(value) => format!("write `{value}`"),
            None => "write `true` or `false`".to_owned(),
        };
        self.report(path, place, "wrong-type", message, Some(hint));
        meant.map(Value::Bool)
    }

    fn number(
        &mut self,
        schema: &Value,
        text: &str,
        is_quoted: bool,
        place: Place,
        path: &str,
    ) -> Option<Value> {
        let Some(number) = text.parse::<i64>().ok().filter(|_| !is_quoted) else {
            let hint = if is_quoted && text.parse::<i64>().is_ok() {
                "write it without quotes".to_owned()
            } else {
                let fallback = || "use digits only".to_owned();
                let example = || example(schema).map(|e| format!("for example `{e}`"));
                range(schema).or_else(example).unwrap_or_else(fallback)
            };
            let message = format!("`{path}` must be a whole number, not {}", quoted(text));
            self.report(path, place, "wrong-type", message, Some(hint));
            return None;
        };
        let (code, hint) = if let Some(values) = schema.get("enum").and_then(Value::as_array) {
            if values.iter().any(|value| value.as_i64() == Some(number)) {
                return Some(json!(number));
            }
            let values: Vec<String> = values.iter().map(Value::to_string).collect();
            let values: Vec<&str> = values.iter().map(String::as_str).collect();
            ("unknown-value", format!("use {}", one_of(&values)))
        } else {
            let limit = |name: &str| schema.get(name).and_then(Value::as_i64);
            let fits = limit("minimum").is_none_or(|least| number >= least)
                && limit("maximum").is_none_or(|most| number <= most);
            match range(schema).filter(|_| !fits) {
                Some(hint) => ("invalid-value", hint),
                None => return Some(json!(number)),
            }
        };
        let message = format!("`{path}` cannot be {number}");
        self.report(path, place, code, message, Some(hint));
        None
    }
}

/// The numbers that a schema allows.
fn range(schema: &Value) -> Option<String> {
    let limit = |name: &str| schema.get(name).and_then(Value::as_i64);
    match (limit("minimum"), limit("maximum")) {
        (Some(only), Some(most)) if only == most => Some(format!("use `{only}`")),
        (Some(least), Some(most)) => Some(format!("use a number from {least} to {most}")),
        (Some(least), None) => Some(format!("use a number from {least} upwards")),
        (None, Some(most)) => Some(format!("use a number up to {most}")),
        (None, None) => None,
    }
}

/// The booleans of YAML 1.2.
fn boolean(text: &str) -> Option<bool> {
    match text {
        "true" | "True" | "TRUE" => Some(true),
        "false" | "False" | "FALSE" => Some(false),
        _ => None,
    }
}

fn has_leading_zero(text: &str) -> bool {
    let digits = text.trim_start_matches(['+', '-']);
    digits.len() > 1 && digits.starts_with('0') && digits.bytes().all(|b| b.is_ascii_digit())
}

/// A plain scalar that YAML takes for a fraction or for a number that is too large.
fn is_ambiguous(text: &str) -> bool {
    let number = text.starts_with(|c: char| c.is_ascii_digit() || "+-.".contains(c));
    let special = matches!(
        text.trim_start_matches(['+', '-'])
            .to_ascii_lowercase()
            .as_str(),
        ".inf" | ".nan"
    );
    number
        && !has_leading_zero(text)
        && text.parse::<i64>().is_err()
        && (text.parse::<f64>().is_ok() || special)
}
