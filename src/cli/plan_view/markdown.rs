//! The plan for a pull request: the counts first, each job folded away.

use super::{Heading, mark, sentence, value};
use crate::core::document::scalar::is_hidden;
use crate::core::plan::{Plan, Shown};

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
        details(
            &title,
            &unread(&html(&job.reason.replace('`', ""))),
            &job.shown(None),
        )
    });
    let records = plan.records.iter().map(|record| {
        let title = format!("<code>~</code> {}", html(&record.resource.to_string()));
        details(&title, "recorded without a job", &[record.shown(None)])
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

fn details(title: &str, note: &str, shown: &[Shown<'_>]) -> String {
    let mut out = format!("\n<details><summary>{title}: {note}</summary>\n");
    for shown in shown.iter().filter(|shown| !shown.changes.is_empty()) {
        if let Some(of) = shown.of {
            out.push_str(&format!("\n{}\n", code(&of.to_string())));
        }
        out.push_str("\n| field | before | after |\n|---|---|---|\n");
        for change in shown.changes.iter() {
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
    format!("{fence}{pad}{}{pad}{fence}", cell(text))
}

/// Text that stays in the cell of a table. There a backslash escapes what follows, another backslash too.
fn cell(text: &str) -> String {
    let mut out = String::new();
    let mut backslashes = 0;
    for c in text.chars() {
        match c {
            '|' => out.push_str(if backslashes % 2 == 0 { "\\|" } else { "\\\\|" }),
            c if is_hidden(c) => out.push(' '),
            c => out.push(c),
        }
        backslashes = if c == '\\' { backslashes + 1 } else { 0 };
    }
    out
}

fn html(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}

/// Text that mentions nobody: whoever is mentioned in a comment gets mail.
fn unread(text: &str) -> String {
    text.replace('@', "@\u{200B}")
}

/// A message of ours, with its code spans, in which nothing that others wrote is markup.
fn escape(text: &str) -> String {
    let parts: Vec<&str> = text.split('`').collect();
    let is_whole = parts.len() % 2 == 1;
    let parts = parts.iter().enumerate().map(|(index, part)| {
        if is_whole && index % 2 == 1 && !part.is_empty() {
            code(part)
        } else {
            plain(part)
        }
    });
    parts.collect()
}

/// Plain text that Markdown leaves alone.
fn plain(text: &str) -> String {
    let mut out = String::new();
    for c in text.chars() {
        match c {
            '@' => out.push_str(&unread("@")),
            '<' | '>' | '&' => out.push_str(&html(c.encode_utf8(&mut [0; 4]))),
            '\\' | '*' | '_' | '[' | ']' | '(' | ')' | '!' | '#' | '~' | '|' | ':' => {
                out.push('\\');
                out.push(c);
            }
            c if is_hidden(c) => out.push(' '),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hostile_text_stays_inside_its_cell() {
        assert_eq!(code("a|b`c\nd"), "`` a\\|b`c d ``");
        assert_eq!(code("a\\|b\u{202E}"), "`a\\\\\\|b `");
        assert_eq!(html("<img src=x>"), "&lt;img src=x&gt;");
        let text = "`web-1` says [x](https://evil.example) <b> \\*@team* `";
        assert_eq!(
            escape(text),
            "web-1 says \\[x\\]\\(https\\://evil.example\\) &lt;b&gt; \\\\\\*@\u{200B}team\\* "
        );
        assert_eq!(escape("site `a_b` is gone"), "site `a_b` is gone");
    }
}
