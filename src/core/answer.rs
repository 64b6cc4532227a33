//! What the control plane acts on of what a program of ours has answered on a node: the release
//! that is served, the node's facts, what was found that somebody has to put back by hand, why it
//! failed.
//!
//! `plugin_utils/answers.py` lets no other field through. It runs where the node's answer is read
//! first, so here the same is looked at once more, before anything is recorded.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::event::TaskResult;
use super::facts::{NodeFacts, WrongFacts};
use super::job::{UnknownWord, words};

/// The most findings of one task; more are counted by the last of them.
const MOST_FINDINGS: usize = 128;
/// The longest finding in bytes.
const LONGEST_FINDING: usize = 4 * 1024;
const LONGEST_RELEASE: usize = 128;
const LONGEST_VERSION: usize = 32;

words! {
    /// Why a task of ours failed.
    FailureCode, "code of a failure" {
        /// For the reason in its message.
        Failed = "FAILED",
        /// The node is another claim's.
        Fenced = "NODE_FENCED",
        /// The environment does not answer as it should.
        Unhealthy = "HEALTH_CHECK_FAILED",
        /// The translations of a language cannot be had, or WordPress does not take it.
        Untranslated = "LANGUAGE_UNAVAILABLE",
        /// The node's answer was none of our program.
        Refused = "NODE_ANSWER_REFUSED",
        /// The node's Python was not reached, so nothing of ours has run.
        Silent = "NO_ANSWER",
    }
}

/// The code that an environment serves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServedRelease {
    pub name: String,
    pub wordpress_version: Option<String>,
}

/// What a task's answer says besides how the task ended.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Answer {
    pub release: Option<ServedRelease>,
    pub facts: Option<NodeFacts>,
    /// What differs on the node and is put back by no job.
    pub by_hand: Vec<String>,
    /// Whether all that the task would change is put back by no job.
    pub only_seen: bool,
    /// Of a task that failed; none where Ansible itself says so.
    pub code: Option<FailureCode>,
}

/// An answer that no program of ours gives.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WrongAnswer {
    #[error("the node's facts are not what a node has: {0}")]
    Facts(#[from] WrongFacts),
    #[error("`{0}`, which the node says it serves, is no name of a release")]
    Release(String),
    #[error("`{0}`, which the node says it serves, is no version of WordPress")]
    Version(String),
    #[error("`{0}` is no reason for which a program of ours fails")]
    Code(String),
    #[error("what the node found is no list of at most {MOST_FINDINGS} short texts")]
    Findings,
}

impl Answer {
    /// The answer that came with the result of a task; an empty one for what is no task of ours.
    ///
    /// # Errors
    /// When a field is not what a program of ours says.
    pub fn of(result: &TaskResult) -> Result<Self, WrongAnswer> {
        let Some(Value::Object(fields)) = &result.result else {
            return Ok(Self::default());
        };
        if !result.action.starts_with("pressluft.host.") {
            return Ok(Self::default());
        }
        let version = fields.get("wordpress_version").map(version).transpose()?;
        let name = fields.get("release").map_or(Ok(None), release)?;
        Ok(Self {
            release: name.map(|name| ServedRelease {
                name,
                wordpress_version: version,
            }),
            facts: fields.get("facts").map(NodeFacts::read).transpose()?,
            by_hand: fields.get("by_hand").map_or(Ok(Vec::new()), findings)?,
            only_seen: fields.get("only_seen") == Some(&Value::Bool(true)),
            code: fields.get("code").map(code).transpose()?,
        })
    }
}

/// A name as directories of releases have, or none where nothing is served yet.
fn release(value: &Value) -> Result<Option<String>, WrongAnswer> {
    let wrong = || WrongAnswer::Release(super::facts::shown(value));
    let name = value.as_str().ok_or_else(wrong)?;
    let may_begin = |first: char| first.is_ascii_alphanumeric();
    let may_follow = |c: char| c.is_ascii_alphanumeric() || "._+-".contains(c);
    if name.is_empty() {
        return Ok(None);
    }
    if name.len() > LONGEST_RELEASE || !name.starts_with(may_begin) || !name.chars().all(may_follow)
    {
        return Err(wrong());
    }
    Ok(Some(name.to_owned()))
}

fn version(value: &Value) -> Result<String, WrongAnswer> {
    let is_one = |text: &&str| {
        let may_be = |c: char| c.is_ascii_alphanumeric() || c == '.' || c == '-';
        (1..=LONGEST_VERSION).contains(&text.len()) && text.chars().all(may_be)
    };
    let text = value.as_str().filter(is_one).map(str::to_owned);
    text.ok_or_else(|| WrongAnswer::Version(super::facts::shown(value)))
}

fn code(value: &Value) -> Result<FailureCode, WrongAnswer> {
    let known = value.as_str().and_then(|word| word.parse().ok());
    known.ok_or_else(|| WrongAnswer::Code(super::facts::shown(value)))
}

fn findings(value: &Value) -> Result<Vec<String>, WrongAnswer> {
    let entries = value
        .as_array()
        .filter(|entries| entries.len() <= MOST_FINDINGS);
    let texts = entries.ok_or(WrongAnswer::Findings)?.iter().map(|entry| {
        let text = entry.as_str().filter(|text| text.len() <= LONGEST_FINDING);
        text.map(str::to_owned).ok_or(WrongAnswer::Findings)
    });
    texts.collect()
}

#[cfg(test)]
#[path = "answer_tests.rs"]
mod tests;
