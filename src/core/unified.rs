//! Unified diffs of texts, for records and for the terminal.

use similar::TextDiff;

use super::event::TaskDiff;

/// The difference between two texts in unified form, or an empty text when there is none.
#[must_use]
pub fn unified(path: &str, before: &str, after: &str) -> String {
    let diff = TextDiff::from_lines(before, after);
    let text = diff
        .unified_diff()
        .context_radius(3)
        .header(
            format!("before {path}").trim_end(),
            format!("after {path}").trim_end(),
        )
        .to_string();
    if before == after { String::new() } else { text }
}

/// What a task changed, in unified form; none when it says nothing.
#[must_use]
pub fn of_task(diff: &TaskDiff) -> Option<String> {
    if let Some(prepared) = &diff.prepared {
        return (!prepared.trim().is_empty()).then(|| prepared.clone());
    }
    let header = diff
        .after_header
        .as_deref()
        .or(diff.before_header.as_deref())
        .unwrap_or("");
    let text = unified(
        header,
        diff.before.as_deref().unwrap_or(""),
        diff.after.as_deref().unwrap_or(""),
    );
    (!text.is_empty()).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_changed_line_is_shown_with_its_surroundings() {
        let text = unified("/etc/x", "a\nb\nc\n", "a\nB\nc\n");
        assert_eq!(
            text,
            "--- before /etc/x\n+++ after /etc/x\n@@ -1,3 +1,3 @@\n a\n-b\n+B\n c\n"
        );
        assert_eq!(unified("/etc/x", "a", "a"), "");
    }
}
