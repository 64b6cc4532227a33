//! A problem in a file of the fleet repo: what, where, and what to do.

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
