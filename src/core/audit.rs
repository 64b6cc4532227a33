//! The audit chain: each entry's hash covers its content and the hash before it.
//!
//! Changing, removing, inserting or reordering entries breaks the chain at that place. Cutting
//! off its end does not, which is why a [`Head`] is also kept outside of the database.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::job::{UnknownWord, words};

words! {
    /// What was done. Append-only.
    AuditAction, "audit action" {
        PlanQueued = "plan_queued",
        JobStarted = "job_started",
        JobSucceeded = "job_succeeded",
        JobFailed = "job_failed",
        JobRequeued = "job_requeued",
        JobCancelled = "job_cancelled",
        JobLost = "job_lost",
        /// Somebody wants a job to stop that runs.
        JobCancelRequested = "job_cancel_requested",
        /// A job that waits for its next attempt runs as soon as it can.
        JobHastened = "job_hastened",
        NodeUnreachable = "node_unreachable",
        NodeReachable = "node_reachable",
        StaleWriteRefused = "stale_write_refused",
        StateRecorded = "state_recorded",
        FactsRecorded = "facts_recorded",
        HostKeyRecorded = "host_key_recorded",
        IdentityMade = "identity_made",
        IdentityRotated = "identity_rotated",
        /// What was encrypted for earlier identities cannot be opened any more.
        IdentitiesRetired = "identities_retired",
        SecretSet = "secret_set",
        SecretRevealed = "secret_revealed",
        /// A secret of the own store has another name, and with it another owner.
        SecretMoved = "secret_moved",
        /// A revision of the fleet repo is in force from now on.
        RevisionAccepted = "revision_accepted",
        /// A revision with errors, or one that is not trusted, changes nothing.
        RevisionRejected = "revision_rejected",
        /// What had failed too often is tried again because somebody asked for it.
        RetryRequested = "retry_requested",
        DatabaseRestored = "database_restored",
        DatabaseResumed = "database_resumed",
        UserAdded = "user_added",
        UserRemoved = "user_removed",
        PasswordSet = "password_set",
        TokenMade = "token_made",
        TokenRevoked = "token_revoked",
        LoginSucceeded = "login_succeeded",
        /// Of many in a short time only some have an entry; a later one says how many had none.
        LoginFailed = "login_failed",
        LoggedOut = "logged_out",
        SessionsRevoked = "sessions_revoked",
        /// The oldest entries were written into a file beside the database, where they stay.
        SegmentClosed = "segment_closed",
        /// Somebody had the past cleared up.
        HistoryPruned = "history_pruned",
    }
}

/// A digest in the chain, 32 bytes, shown as hex.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct ChainHash(pub [u8; 32]);

/// What the first entry names as the hash before it.
pub const GENESIS: ChainHash = ChainHash([0; 32]);

impl fmt::Display for ChainHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&blake3::Hash::from_bytes(self.0).to_hex())
    }
}

impl fmt::Debug for ChainHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ChainHash({self})")
    }
}

impl FromStr for ChainHash {
    type Err = blake3::HexError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        blake3::Hash::from_hex(text).map(|hash| Self(*hash.as_bytes()))
    }
}

impl schemars::JsonSchema for ChainHash {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        "ChainHash".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": "string", "pattern": "^[0-9a-f]{64}$" })
    }
}

impl Serialize for ChainHash {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// What one entry says, as text exactly like it is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Content<'a> {
    /// From 1, without gaps.
    pub seq: u64,
    /// Microseconds since 1970 in UTC.
    pub at: i64,
    pub actor: &'a str,
    pub action: &'a str,
    pub resource: Option<&'a str>,
    pub job: Option<&'a str>,
    /// A JSON object.
    pub detail: &'a str,
}

/// The hash of an entry that follows the one with the hash `previous`.
///
/// Every field is preceded by its length, so that no two contents have the same encoding.
#[must_use]
pub fn entry_hash(previous: ChainHash, content: &Content<'_>) -> ChainHash {
    let mut hasher = blake3::Hasher::new_derive_key("pressluft 2026 audit entry v1");
    hasher.update(&previous.0);
    hasher.update(&content.seq.to_le_bytes());
    hasher.update(&content.at.to_le_bytes());
    for field in [
        Some(content.actor),
        Some(content.action),
        content.resource,
        content.job,
        Some(content.detail),
    ] {
        match field {
            Some(text) => {
                hasher.update(&[1]);
                hasher.update(&(text.len() as u64).to_le_bytes());
                hasher.update(text.as_bytes());
            }
            None => {
                hasher.update(&[0]);
            }
        }
    }
    ChainHash(*hasher.finalize().as_bytes())
}

/// The end of a chain: how many entries it has and the hash of the last one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Head {
    pub seq: u64,
    pub hash: ChainHash,
}

/// The head of a chain without entries.
pub const EMPTY: Head = Head {
    seq: 0,
    hash: GENESIS,
};

/// Where and how a chain is broken.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Break {
    /// The number of the first entry that does not fit.
    pub seq: u64,
    pub reason: BreakReason,
}

/// Why an entry does not fit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum BreakReason {
    /// Its number does not follow the number before it.
    Gap,
    /// It does not name the hash of the entry before it.
    Link,
    /// Its content does not have the hash that it was stored with.
    Content,
    /// The entry existed and is no longer there.
    Truncated,
    /// The entry is there, but it is another one than was noted.
    Replaced,
    /// The file of the segment that begins with it is not there.
    Missing,
    /// The file of its segment is not what was written.
    Segment,
}

impl fmt::Display for Break {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seq = self.seq;
        match self.reason {
            BreakReason::Gap => write!(f, "entry {seq} is missing"),
            BreakReason::Link => write!(f, "entry {seq} does not follow the entry before it"),
            BreakReason::Content => write!(f, "entry {seq} was changed after it was written"),
            BreakReason::Truncated => write!(f, "entry {seq} and what follows were cut off"),
            BreakReason::Replaced => write!(f, "entry {seq} is not the one that was noted"),
            BreakReason::Missing => {
                write!(f, "the segment that begins with entry {seq} is missing")
            }
            BreakReason::Segment => {
                write!(
                    f,
                    "the segment of entry {seq} was changed after it was written"
                )
            }
        }
    }
}

/// The head after the entry `content`, which was stored with `previous` and `hash`.
///
/// # Errors
/// [`Break`] when the entry does not continue `head`.
pub fn follow(
    head: Head,
    content: &Content<'_>,
    previous: ChainHash,
    hash: ChainHash,
) -> Result<Head, Break> {
    let expected = head.seq + 1;
    let broken = |reason| {
        Err(Break {
            seq: expected,
            reason,
        })
    };
    if content.seq != expected {
        return broken(BreakReason::Gap);
    }
    if previous != head.hash {
        return broken(BreakReason::Link);
    }
    if entry_hash(previous, content) != hash {
        return broken(BreakReason::Content);
    }
    Ok(Head {
        seq: expected,
        hash,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn content(seq: u64) -> Content<'static> {
        Content {
            seq,
            at: 7,
            actor: "a",
            action: "state_recorded",
            resource: None,
            job: Some("j"),
            detail: "{}",
        }
    }

    #[test]
    fn a_chain_is_followed_to_its_head() {
        let first = entry_hash(GENESIS, &content(1));
        let head = follow(EMPTY, &content(1), GENESIS, first).expect("first");
        let second = entry_hash(first, &content(2));
        let head = follow(head, &content(2), first, second).expect("second");
        assert_eq!(
            head,
            Head {
                seq: 2,
                hash: second
            }
        );
        assert_eq!(second.to_string().parse::<ChainHash>().ok(), Some(second));
    }

    #[test]
    fn each_kind_of_break_is_named() {
        let first = entry_hash(GENESIS, &content(1));
        let changed = Content {
            actor: "b",
            ..content(1)
        };
        let reason = |result: Result<Head, Break>| result.expect_err("broken").reason;
        assert_eq!(
            reason(follow(EMPTY, &content(2), GENESIS, first)),
            BreakReason::Gap
        );
        assert_eq!(
            reason(follow(EMPTY, &content(1), first, first)),
            BreakReason::Link
        );
        assert_eq!(
            reason(follow(EMPTY, &changed, GENESIS, first)),
            BreakReason::Content
        );
    }

    #[test]
    fn text_cannot_move_between_fields() {
        let left = Content {
            actor: "ab",
            action: "c",
            ..content(1)
        };
        let right = Content {
            actor: "a",
            action: "bc",
            ..content(1)
        };
        assert_ne!(entry_hash(GENESIS, &left), entry_hash(GENESIS, &right));
        let some = Content {
            resource: Some(""),
            ..content(1)
        };
        assert_ne!(entry_hash(GENESIS, &some), entry_hash(GENESIS, &content(1)));
    }
}
