//! Jobs: their types, their states and the moves between them.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

macro_rules! words {
    ($(#[$meta:meta])* $name:ident, $what:literal { $($(#[$vmeta:meta])* $variant:ident = $word:literal,)+ }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
            schemars::JsonSchema)]
        pub enum $name { $($(#[$vmeta])* #[serde(rename = $word)] $variant,)+ }

        impl $name {
            /// Every value, in order.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The word for this in the database, in JSON and on screen.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word,)+ }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl FromStr for $name {
            type Err = UnknownWord;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                Self::ALL
                    .iter()
                    .copied()
                    .find(|value| value.as_str() == text)
                    .ok_or_else(|| UnknownWord { what: $what, word: text.to_owned() })
            }
        }
    };
}

pub(crate) use words;

/// A word that stands for nothing in this version; in a database it means corruption or a
/// newer program.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{word}` is no {what}")]
pub struct UnknownWord {
    pub what: &'static str,
    pub word: String,
}

words! {
    /// What a job does. One job type has one playbook, named like it with dashes.
    JobType, "job type" {
        NodeProvision = "node_provision",
        NodeDecommission = "node_decommission",
        SiteCreate = "site_create",
        SiteImport = "site_import",
        SiteDelete = "site_delete",
        EnvCreate = "env_create",
        EnvConfigure = "env_configure",
        EnvDeploy = "env_deploy",
        EnvUpdate = "env_update",
        EnvCacheToggle = "env_cache_toggle",
        EnvDelete = "env_delete",
        DomainAdd = "domain_add",
        DomainRemove = "domain_remove",
        CachePurge = "cache_purge",
        BackupCreate = "backup_create",
        BackupCleanup = "backup_cleanup",
        EnvRestore = "env_restore",
        EnvPromote = "env_promote",
        EnvSync = "env_sync",
        DriftCheck = "drift_check",
        HealthCheck = "health_check",
        ReleaseRollback = "release_rollback",
    }
}

words! {
    /// Who asked for a job: it decides whether a plan may end it. What is repeated keeps its own.
    JobOrigin, "origin" {
        /// A plan of the fleet.
        Plan = "plan",
        /// A schedule of the documents.
        Schedule = "schedule",
        /// Somebody at a terminal.
        Person = "person",
        /// Another job of its plan: it looks at what that one did.
        Job = "job",
    }
}

impl JobType {
    /// `env-configure.yml` for `env_configure`.
    #[must_use]
    pub fn playbook(self) -> String {
        format!("{}.yml", self.as_str().replace('_', "-"))
    }
}

words! {
    /// Where a job is in its life.
    JobStatus, "job status" {
        Queued = "queued",
        Running = "running",
        /// The lease was lost; whether the old process still changes the host is not known.
        Unknown = "unknown",
        Succeeded = "succeeded",
        Failed = "failed",
        Cancelled = "cancelled",
    }
}

impl JobStatus {
    /// Whether nothing can happen to the job any more.
    #[must_use]
    pub fn is_terminal(self) -> bool {
        match self {
            Self::Succeeded | Self::Failed | Self::Cancelled => true,
            Self::Queued | Self::Running | Self::Unknown => false,
        }
    }
}

/// What happens to a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JobEvent {
    Claim,
    Succeed,
    /// The attempt failed for good, or was the last one.
    Fail,
    /// The attempt failed and another one is allowed.
    Retry,
    Cancel,
    LoseLease,
    /// The old process group is proven dead, or its time has passed.
    Recover,
}

/// A move that the state machine does not have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a job that is `{from}` cannot take the event `{event:?}`")]
pub struct IllegalMove {
    pub from: JobStatus,
    pub event: JobEvent,
}

/// The status after `event`.
///
/// # Errors
/// [`IllegalMove`] when the event cannot happen to a job in this status.
pub fn next_status(from: JobStatus, event: JobEvent) -> Result<JobStatus, IllegalMove> {
    use JobEvent as E;
    use JobStatus as S;
    match (from, event) {
        (S::Queued, E::Claim) => Ok(S::Running),
        (S::Running, E::Succeed) => Ok(S::Succeeded),
        (S::Running | S::Unknown, E::Fail) => Ok(S::Failed),
        (S::Running, E::Retry) | (S::Unknown, E::Recover) => Ok(S::Queued),
        (S::Queued | S::Running, E::Cancel) => Ok(S::Cancelled),
        (S::Running, E::LoseLease) => Ok(S::Unknown),
        (from, event) => Err(IllegalMove { from, event }),
    }
}

words! {
    /// Why an attempt failed. Append-only; `docs/error-codes.md` has cause and cure of each.
    ErrorCode, "error code" {
        AnsiblePlayError = "ANSIBLE_PLAY_ERROR",
        AnsibleHostFailed = "ANSIBLE_HOST_FAILED",
        AnsibleHostUnreachable = "ANSIBLE_HOST_UNREACHABLE",
        AnsibleSyntaxError = "ANSIBLE_SYNTAX_ERROR",
        AnsibleUnexpectedError = "ANSIBLE_UNEXPECTED_ERROR",
        AnsibleUnknownExit = "ANSIBLE_UNKNOWN_EXIT",
        AnsibleTimeout = "ANSIBLE_TIMEOUT",
        JobTimeout = "JOB_TIMEOUT",
        SshHostKeyMismatch = "SSH_HOST_KEY_MISMATCH",
        SshAuthFailed = "SSH_AUTH_FAILED",
        NodePythonMissing = "NODE_PYTHON_MISSING",
        NodeUnsupported = "NODE_UNSUPPORTED",
        HealthCheckFailed = "HEALTH_CHECK_FAILED",
        SecretUnavailable = "SECRET_UNAVAILABLE",
        SourceUnavailable = "SOURCE_UNAVAILABLE",
        /// What is recorded was written by a version with other fields.
        RecordUnreadable = "RECORD_UNREADABLE",
        RenderFailed = "RENDER_FAILED",
        JobInterrupted = "JOB_INTERRUPTED",
        InternalError = "INTERNAL_ERROR",
        DependencyFailed = "DEPENDENCY_FAILED",
        /// The recorded state moved between the plan and the job's turn.
        PlanStale = "PLAN_STALE",
        /// A newer plan has a job for the same resource.
        Superseded = "SUPERSEDED",
        CancelledByUser = "CANCELLED_BY_USER",
        /// The node's fence has refused the run: its claim is over, or not of this control plane.
        NodeFenced = "NODE_FENCED",
        NodeSudoFailed = "NODE_SUDO_FAILED",
        /// The node answered with something that none of our programs says.
        NodeAnswerRefused = "NODE_ANSWER_REFUSED",
        /// What ran the job ended before the job did, too often.
        WorkerDied = "WORKER_DIED",
        /// The node is the machine of another node.
        DuplicateMachine = "DUPLICATE_MACHINE",
        /// The translations of a language cannot be had, or WordPress does not take it.
        LanguageUnavailable = "LANGUAGE_UNAVAILABLE",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn terminal_states_take_no_event() {
        use JobEvent::{Cancel, Claim, Fail, LoseLease, Recover, Retry, Succeed};
        for from in JobStatus::ALL.iter().filter(|status| status.is_terminal()) {
            for event in [Claim, Succeed, Fail, Retry, Cancel, LoseLease, Recover] {
                assert_eq!(
                    next_status(*from, event),
                    Err(IllegalMove { from: *from, event })
                );
            }
        }
    }

    #[test]
    fn every_word_reads_back() {
        for value in JobType::ALL {
            assert_eq!(value.as_str().parse(), Ok(*value));
        }
        assert!("site_explode".parse::<JobType>().is_err());
    }
}
