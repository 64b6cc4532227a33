//! Messages in the shapes that chat services read. Several at once become one digest.
//!
//! What others wrote (the subject of a commit, an error of a node) is shown and never read: it makes no link, mentions
//! nobody, and hides nothing.

use serde_json::{Value, json};

use crate::core::document::scalar::is_hidden;
use crate::store::Message;

/// So many events are written out in one message.
const MOST_LINES: usize = 50;

/// Longer ones are refused by Discord.
const DISCORD_MOST: usize = 1900;

/// The body for a format, with its content type.
pub(super) fn body(format: &str, fleet: &str, messages: &[Message]) -> (&'static str, String) {
    const JSON: &str = "application/json";
    match format {
        "slack" => {
            let text = text(fleet, messages, slack_code);
            // Without this, names and addresses are links again.
            let body = json!({ "text": text, "link_names": false, "unfurl_links": false, "unfurl_media": false });
            (JSON, body.to_string())
        }
        "discord" => {
            let short = in_whole_lines(&text(fleet, messages, code), DISCORD_MOST);
            let quiet = json!({ "parse": [] });
            (
                JSON,
                json!({ "content": short, "allowed_mentions": quiet }).to_string(),
            )
        }
        "text" => (
            "text/plain; charset=utf-8",
            text(fleet, messages, str::to_owned),
        ),
        _ => {
            let events: Vec<&Value> = messages.iter().map(|message| &message.detail).collect();
            let body = json!({
                "type": "notification", "fleet": fleet, "summary": summary(messages),
                "events": events,
            });
            (JSON, body.to_string())
        }
    }
}

/// As many whole lines as so many characters hold: the end of a line may be what keeps the rest of it from being read.
fn in_whole_lines(text: &str, most: usize) -> String {
    let mut left = most;
    text.split_inclusive('\n')
        .take_while(|line| {
            let length = line.chars().count();
            let fits = length <= left;
            left = left.saturating_sub(length);
            fits
        })
        .collect()
}

/// `2 failed, 1 recovered`.
fn summary(messages: &[Message]) -> String {
    let mut counts: Vec<(&str, usize)> = Vec::new();
    for message in messages {
        match counts.iter_mut().find(|(event, _)| *event == message.event) {
            Some((_, count)) => *count += 1,
            None => counts.push((&message.event, 1)),
        }
    }
    let parts: Vec<String> = counts
        .iter()
        .map(|(event, count)| format!("{count} {event}"))
        .collect();
    parts.join(", ")
}

/// Text in which nothing means anything to Discord, Mattermost and Rocket.Chat.
fn code(text: &str) -> String {
    // One that ends the code before its end.
    format!("`{}`", text.replace('`', "'"))
}

/// The same for Slack, which takes these characters for markup in code, too.
fn slack_code(text: &str) -> String {
    code(text)
        .replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}

/// All of it as lines; `quoted` gives what others wrote a form in which it means nothing.
fn text(fleet: &str, messages: &[Message], quoted: fn(&str) -> String) -> String {
    let mut text = format!("{fleet}: {}\n", summary(messages));
    for message in messages.iter().take(MOST_LINES) {
        let field = |name: &str| message.detail.get(name).and_then(Value::as_str);
        text.push_str(&format!("{} {}", message.event, message.subject));
        if let Some(revision) = field("revision") {
            text.push_str(&format!(" at {}", revision.get(..12).unwrap_or(revision)));
        }
        if let Some(code) = field("code") {
            text.push_str(&format!(" {code}"));
        }
        if let Some(reason) = field("reason") {
            let line: String = reason
                .chars()
                .filter(|c| !is_hidden(*c))
                .take(300)
                .collect();
            text.push_str(&format!(": {}", quoted(&line)));
        }
        text.push('\n');
    }
    if messages.len() > MOST_LINES {
        text.push_str(&format!("and {} more\n", messages.len() - MOST_LINES));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(event: &str, subject: &str, code: Option<&str>) -> Message {
        Message {
            id: 1,
            channel: "notify/ops".to_owned(),
            event: event.to_owned(),
            subject: subject.to_owned(),
            detail: json!({
                "event": event, "subject": subject, "code": code, "reason": "no\u{1b}[31m space",
                "revision": "4f5c7f0d6f0f4c6c8a0b7b2f9f1d6a1e2b3c4d5e",
            }),
            created_at: jiff::Timestamp::UNIX_EPOCH,
            ended_at: None,
            error: None,
        }
    }

    #[test]
    fn several_events_are_one_digest() {
        let messages = [
            message("failed", "env/acme/production", Some("ANSIBLE_HOST_FAILED")),
            message("failed", "env/bakery/production", None),
            message("recovered", "node/web-1", None),
        ];
        insta::assert_snapshot!(body("text", "studio", &messages).1, @r"
        studio: 2 failed, 1 recovered
        failed env/acme/production at 4f5c7f0d6f0f ANSIBLE_HOST_FAILED: no[31m space
        failed env/bakery/production at 4f5c7f0d6f0f: no[31m space
        recovered node/web-1 at 4f5c7f0d6f0f: no[31m space
        ");
        let mut of_others = message("failed", "revision", None);
        of_others.detail["reason"] = json!(
            "Tidy up <!channel> @here see <https://evil.example|the `runbook`> [x](https://evil.example) \u{202E}&"
        );
        let (_, slack) = body("slack", "studio", std::slice::from_ref(&of_others));
        insta::assert_snapshot!(slack, @r#"{"link_names":false,"text":"studio: 1 failed\nfailed revision at 4f5c7f0d6f0f: `Tidy up &lt;!channel&gt; @here see &lt;https://evil.example|the 'runbook'&gt; [x](https://evil.example) &amp;`\n","unfurl_links":false,"unfurl_media":false}"#);
        let (_, discord) = body("discord", "studio", std::slice::from_ref(&of_others));
        insta::assert_snapshot!(discord, @r#"{"allowed_mentions":{"parse":[]},"content":"studio: 1 failed\nfailed revision at 4f5c7f0d6f0f: `Tidy up <!channel> @here see <https://evil.example|the 'runbook'> [x](https://evil.example) &`\n"}"#);
        let (_, slack) = body("slack", "studio", &messages[..1]);
        insta::assert_snapshot!(slack, @r#"{"link_names":false,"text":"studio: 1 failed\nfailed env/acme/production at 4f5c7f0d6f0f ANSIBLE_HOST_FAILED: `no[31m space`\n","unfurl_links":false,"unfurl_media":false}"#);
        let (_, json) = body("json", "studio", &messages[2..]);
        insta::assert_snapshot!(json, @r#"{"events":[{"code":null,"event":"recovered","reason":"no\u001b[31m space","revision":"4f5c7f0d6f0f4c6c8a0b7b2f9f1d6a1e2b3c4d5e","subject":"node/web-1"}],"fleet":"studio","summary":"1 recovered","type":"notification"}"#);
        of_others.detail["reason"] = json!("**x** ".repeat(50));
        let long: Vec<Message> = std::iter::repeat_with(|| message("failed", "x", None))
            .take(9)
            .map(|mut message| {
                message.detail.clone_from(&of_others.detail);
                message
            })
            .collect();
        let (_, discord) = body("discord", "studio", &long);
        let content: Value = serde_json::from_str(&discord).expect("JSON");
        let content = content["content"].as_str().expect("a text");
        assert!(
            (1500..=DISCORD_MOST).contains(&content.chars().count()),
            "{content}"
        );
        for line in content.lines() {
            assert_eq!(line.matches('`').count() % 2, 0, "{line}");
        }
        let many: Vec<Message> = (0..60).map(|_| message("failed", "x", None)).collect();
        let (_, text) = body("text", "studio", &many);
        assert!(text.ends_with("and 10 more\n"), "{text}");
    }
}
