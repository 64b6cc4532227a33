//! A problem in a file of the fleet repo: what, where, and what to do.

use std::collections::HashMap;

use serde::Serialize;

/// How bad a diagnostic is; an error keeps every plan from being made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    Error,
    Warning,
}

/// One problem. `line` and `column` count from 1, columns in characters; both are 0 when the
/// problem belongs to no place in a file (for example a fleet without a `Fleet` document).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Diagnostic {
    /// Relative to the fleet root, with `/`.
    pub file: String,
    pub line: usize,
    pub column: usize,
    pub severity: Severity,
    /// A stable word such as `unknown-field`, listed in `docs/diagnostics.md`.
    pub code: &'static str,
    pub message: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
    /// How many characters the offending text has, for the underline in the snippet.
    #[serde(skip)]
    pub length: usize,
}

/// So many diagnostics that say the same of different places are still told one by one.
pub const TOLD_APART: usize = 3;

/// What a diagnostic says, wherever that is.
fn says(diagnostic: &Diagnostic) -> (Severity, &str, &str, Option<&str>) {
    let Diagnostic {
        severity,
        code,
        message,
        hint,
        ..
    } = diagnostic;
    (*severity, code, message, hint.as_deref())
}

/// Diagnostics that say the same of different places, together: the first of each, in the order in which they were, with
/// all of its kind, itself among them. Those that are few are each of a kind of their own.
#[must_use]
pub fn together(diagnostics: &[Diagnostic]) -> Vec<Vec<&Diagnostic>> {
    let mut kinds: HashMap<_, Vec<&Diagnostic>> = HashMap::new();
    for diagnostic in diagnostics {
        kinds.entry(says(diagnostic)).or_default().push(diagnostic);
    }
    let mut all = Vec::with_capacity(kinds.len());
    for diagnostic in diagnostics {
        match kinds.get_mut(&says(diagnostic)) {
            Some(kind) if kind.len() > TOLD_APART => all.push(std::mem::take(kind)),
            // Told with the first of its kind.
            Some(kind) if kind.is_empty() => {}
            Some(_) | None => all.push(vec![diagnostic]),
        }
    }
    all
}
