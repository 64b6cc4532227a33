//! A plan as people and programs read it: text, JSON lines, Markdown.

mod files;
mod json;
mod markdown;
mod text;

use std::borrow::Cow;

use serde_json::Value;

use crate::cli::output::Paint;
use crate::core::change::Change;
use crate::core::plan::{Action, Counts};

pub(crate) use files::{files_json, files_text};
pub(crate) use json::{json, summary};
pub(crate) use markdown::markdown;
pub(crate) use text::text;

/// What is known of the commit that a plan is for.
#[derive(Clone, Debug, Default)]
pub(crate) struct Heading {
    pub(crate) fleet: String,
    /// The full commit id; none for a directory that is no git repository.
    pub(crate) commit: Option<String>,
    pub(crate) subject: Option<String>,
    pub(crate) dirty: bool,
}

/// Changes with a line each, before → after.
pub(crate) fn changes(changes: &[Change]) -> String {
    let mut out = Vec::new();
    // A vector takes all that is written to it.
    text::push_changes(&mut out, changes, Paint::Always).ok();
    String::from_utf8_lossy(&out).into_owned()
}

/// The mark in front of a line.
fn mark(action: Action) -> char {
    match action {
        Action::Create => '+',
        Action::Update => '~',
        Action::Delete => '-',
        Action::Run => '>',
    }
}

/// A value on one line: strings in quotes, nothing for `null`.
fn value(value: &Value) -> String {
    let text = match value {
        Value::Null => "(none)".to_owned(),
        Value::String(text) if text == crate::core::change::SENSITIVE => text.clone(),
        other => other.to_string(),
    };
    let shown = super::output::printable(&text);
    match shown.char_indices().nth(120) {
        Some((end, _)) => format!("{}…", &shown[..end]),
        None if matches!(shown, Cow::Borrowed(_)) => text,
        None => shown.into_owned(),
    }
}

/// The counts as a sentence without a full stop.
fn sentence(counts: Counts) -> String {
    let plural = |count: usize, one: &str, many: &str| {
        format!("{count} {}", if count == 1 { one } else { many })
    };
    let mut text = format!(
        "{}: {} to create, {} to update, {} to delete",
        plural(counts.jobs, "job", "jobs"),
        counts.create,
        counts.update,
        counts.delete,
    );
    if counts.records > 0 {
        text.push_str(&format!("; {} recorded without a job", counts.records));
    }
    if counts.blocked > 0 {
        text.push_str(&format!("; {} blocked", counts.blocked));
    }
    if counts.removed > 0 {
        text.push_str(&format!("; {} no longer asked for", counts.removed));
    }
    text
}
