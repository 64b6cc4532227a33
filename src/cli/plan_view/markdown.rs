//! The plan for a pull request: the counts first, each job folded away.

use super::{Heading, mark, sentence, value};
use crate::core::plan::Plan;

/// GitHub refuses comments over 65,536 characters; what does not fit is counted.
const LIMIT: usize = 60_000;

/// The whole plan as Markdown that GitHub, GitLab, Gitea and Forgejo render.
pub(crate) fn markdown(plan: &Plan, heading: &Heading) -> String {
    let commit = heading
        .commit
        .as_deref()
        .map_or("", |commit| commit.get(..12).unwrap_or(commit));
    let mut out = format!("### Pressluft plan for {}", code(&heading.fleet));
    if !commit.is_empty() {
        out.push_str(&format!(" at {}", code(commit)));
    }
    if heading.dirty {
        out.push_str(" (with changes that are not committed)");
    }
    out.push_str("\n\n");
    if !plan.has_changes() && plan.blocked.is_empty() && plan.removed.is_empty() {
        out.push_str("**No changes**: the record is what the documents ask for.\n");
        return out;
    }
    out.push_str(&format!("**{}**\n", sentence(plan.counts())));
    let mut left = 0;
    for section in sections(plan) {
        if out.len() + section.len() > LIMIT {
            left += 1;
        } else {
            out.push_str(&section);
        }
    }
    if left > 0 {
        out.push_str(&format!(
            "\n{left} more, left out because a comment has a limit.\n"
        ));
    }
    out
}

fn sections(plan: &Plan) -> impl Iterator<Item = String> + '_ {
    let jobs = plan.jobs.iter().map(|job| {
        let title = format!(
            "<code>{} {}</code> {} on <code>{}</code>",
            mark(job.action),
            html(job.job_type.as_str()),
            html(&job.resource.to_string()),
            html(&job.node),
        );
        details(&title, &html(&job.reason.replace('`', "")), &job.changes)
    });
    let records = plan.records.iter().map(|record| {
        let title = format!("<code>~</code> {}", html(&record.resource.to_string()));
        details(&title, "recorded without a job", &record.changes)
    });
    let blocked = plan.blocked.iter().map(|blocked| {
        format!(
            "\n- :warning: **{}** is blocked: {}\n",
            blocked.resource,
            escape(&blocked.message)
        )
    });
    let removed = plan.removed.iter().map(|removed| {
        format!(
            "\n- **{}**: {}\n",
            removed.resource,
            escape(&removed.message)
        )
    });
    jobs.chain(records).chain(blocked).chain(removed)
}

fn details(title: &str, note: &str, changes: &[crate::core::change::Change]) -> String {
    let mut out = format!("\n<details><summary>{title}: {note}</summary>\n");
    if !changes.is_empty() {
        out.push_str("\n| field | before | after |\n|---|---|---|\n");
        for change in changes {
            out.push_str(&format!(
                "| {} | {} | {} |\n",
                code(&change.path),
                code(&value(&change.before)),
                code(&value(&change.after))
            ));
        }
    }
    out.push_str("\n</details>\n");
    out
}

/// A code span for any text: the fence is longer than any run of backticks in it, and `|` does
/// not end the cell.
fn code(text: &str) -> String {
    let longest = text.split(|c| c != '`').map(str::len).max().unwrap_or(0);
    let fence = "`".repeat(longest + 1);
    let pad = if longest > 0 { " " } else { "" };
    let text = text.replace('|', "\\|").replace(['\n', '\r'], " ");
    format!("{fence}{pad}{text}{pad}{fence}")
}

fn html(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}

/// Plain text that Markdown leaves alone, but for code spans, which our messages use.
fn escape(text: &str) -> String {
    html(text)
        .replace('*', "\\*")
        .replace('_', "\\_")
        .replace('[', "\\[")
        .replace('|', "\\|")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hostile_text_stays_inside_its_cell() {
        assert_eq!(code("a|b`c\nd"), "`` a\\|b`c d ``");
        assert_eq!(html("<img src=x>"), "&lt;img src=x&gt;");
    }
}
