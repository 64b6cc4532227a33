//! What a play says while it runs: one JSON object per line, written by our callback plugin.
//!
//! Part of every text comes from the node, so nothing here is trusted: lines that do not
//! parse become [`Event::Unreadable`], and control characters are made visible.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::document::scalar;

/// One event of a play, in the order in which it happened.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    PlayStart {
        play: String,
        /// Whether the play runs in check mode and changes nothing.
        #[serde(default)]
        check: bool,
    },
    TaskStart {
        task: String,
        #[serde(default)]
        role: Option<String>,
    },
    /// A task ended on the host.
    Task(Box<TaskResult>),
    Warning {
        msg: String,
        #[serde(default)]
        task: Option<String>,
    },
    /// The last event of every play that Ansible itself ended.
    Stats { hosts: BTreeMap<String, HostStats> },
    /// A line that is no event: damaged, too long, or not ours.
    Unreadable { bytes: usize },
}

/// How a task ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum TaskStatus {
    Ok,
    Changed,
    Skipped,
    Failed,
    Unreachable,
    /// Failed, and the playbook says that this does not matter.
    Ignored,
}

impl TaskStatus {
    /// The word for this on screen and in JSON.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Changed => "changed",
            Self::Skipped => "skipped",
            Self::Failed => "failed",
            Self::Unreachable => "unreachable",
            Self::Ignored => "ignored",
        }
    }
}

/// The result of one task on one host.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TaskResult {
    pub task: String,
    /// The module or action, for example `ansible.builtin.apt`.
    pub action: String,
    pub host: String,
    pub status: TaskStatus,
    #[serde(default)]
    pub seconds: f64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub msg: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub diff: Vec<TaskDiff>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rc: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stdout: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stderr: Option<String>,
    /// What a module of our own collection returned; its reader gives it a type.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result: Option<Value>,
}

/// What a task changed, or would change in check mode.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskDiff {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before_header: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after_header: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<String>,
    /// A text that the module itself has laid out as a difference.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prepared: Option<String>,
}

/// The counts of one host at the end of a play.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct HostStats {
    pub ok: u64,
    pub changed: u64,
    pub failures: u64,
    pub skipped: u64,
    pub ignored: u64,
    pub rescued: u64,
    pub unreachable: u64,
}

impl Event {
    /// The event that a line holds; [`Event::Unreadable`] when it holds none.
    #[must_use]
    pub fn parse(line: &[u8]) -> Self {
        serde_json::from_slice(line).unwrap_or(Self::Unreadable { bytes: line.len() })
    }

    /// The event with every text passed through `redact` and its control characters made
    /// visible, so that it may be stored and printed.
    #[must_use]
    pub fn cleaned(mut self, redact: &dyn Fn(&str) -> String) -> Self {
        let clean = |text: &mut String| *text = visible(&redact(text));
        match &mut self {
            Self::PlayStart { play, .. } => clean(play),
            Self::TaskStart { task, role } => {
                clean(task);
                role.iter_mut().for_each(clean);
            }
            Self::Warning { msg, task } => {
                clean(msg);
                task.iter_mut().for_each(clean);
            }
            Self::Task(result) => result.clean(&clean),
            Self::Stats { .. } | Self::Unreadable { .. } => {}
        }
        self
    }
}

impl TaskResult {
    fn clean(&mut self, clean: &dyn Fn(&mut String)) {
        clean(&mut self.task);
        clean(&mut self.action);
        clean(&mut self.host);
        for text in [&mut self.msg, &mut self.stdout, &mut self.stderr] {
            text.iter_mut().for_each(clean);
        }
        for diff in &mut self.diff {
            let TaskDiff {
                before_header,
                after_header,
                before,
                after,
                prepared,
            } = diff;
            for text in [before_header, after_header, before, after, prepared] {
                text.iter_mut().for_each(clean);
            }
        }
        self.result
            .iter_mut()
            .for_each(|value| clean_value(value, clean));
    }
}

fn clean_value(value: &mut Value, clean: &dyn Fn(&mut String)) {
    match value {
        Value::String(text) => clean(text),
        Value::Array(items) => items.iter_mut().for_each(|item| clean_value(item, clean)),
        Value::Object(map) => {
            let entries = std::mem::take(map);
            for (mut key, mut item) in entries {
                clean(&mut key);
                clean_value(&mut item, clean);
                map.insert(key, item);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// The text with control characters other than line feed and tab written as `\u{…}`: a node
/// must not move the reader's cursor, and bidirectional overrides must not reorder a line.
#[must_use]
pub fn visible(text: &str) -> String {
    if !text.chars().any(is_hidden) {
        return text.to_owned();
    }
    let mut shown = String::with_capacity(text.len() + 16);
    // The ends of lines that come over a terminal or from `ssh`.
    for character in text.replace("\r\n", "\n").chars() {
        if is_hidden(character) {
            shown.extend(character.escape_unicode());
        } else {
            shown.push(character);
        }
    }
    shown
}

fn is_hidden(character: char) -> bool {
    scalar::is_hidden(character) && !matches!(character, '\n' | '\t')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lines_of_a_play_are_read() {
        let line = br#"{"event":"task","task":"apply","uuid":"1","action":"pressluft.host.tree","host":"web-1","status":"changed","seconds":0.21,"result":{"items":[]},"diff":[{"before":"a\n","after":"b\n"}]}"#;
        let Event::Task(task) = Event::parse(line) else {
            panic!("no task")
        };
        assert_eq!((task.status, task.seconds), (TaskStatus::Changed, 0.21));
        assert_eq!(task.diff[0].after.as_deref(), Some("b\n"));
        let line = br#"{"event":"stats","hosts":{"web-1":{"ok":3,"changed":1,"failures":0,"skipped":0,"ignored":0,"rescued":0,"unreachable":0}}}"#;
        let Event::Stats { hosts } = Event::parse(line) else {
            panic!("no stats")
        };
        assert_eq!(hosts["web-1"].ok, 3);
    }

    #[test]
    fn what_is_no_event_is_counted_and_nothing_else() {
        for line in [
            &b"{\"event\":\"explode\"}"[..],
            b"",
            b"\xff\xfe",
            b"[]",
            b"{\"event\":\"task\"}",
        ] {
            assert_eq!(Event::parse(line), Event::Unreadable { bytes: line.len() });
        }
    }

    #[test]
    fn secrets_and_control_characters_do_not_pass() {
        let line = br#"{"event":"task","task":"t","action":"a","host":"h","status":"failed","msg":"pw hunter2 \u001b[2J\r\r\n","result":{"hunter2":["x hunter2"]},"diff":[{"after":"hunter2\n\u202e"}]}"#;
        let cleaned = Event::parse(line).cleaned(&|text| text.replace("hunter2", "(sensitive)"));
        let Event::Task(task) = &cleaned else {
            panic!("no task")
        };
        assert_eq!(
            task.msg.as_deref(),
            Some("pw (sensitive) \\u{1b}[2J\\u{d}\n")
        );
        assert_eq!(
            task.diff[0].after.as_deref(),
            Some("(sensitive)\n\\u{202e}")
        );
        let text = serde_json::to_string(&cleaned).expect("an event is JSON");
        assert!(!text.contains("hunter2"), "{text}");
    }
}
