//! The condition of a resource: how it stands against what the fleet repo asks for.
//!
//! A pure function of recorded facts, so the command line, the status pages and notifications say
//! the same. It follows the reconcilers that people know: a *desired* revision that is asked for,
//! an *attempted* one that a job began to carry out, an *applied* one that is recorded, and one
//! word for how that goes.

use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::drift::Differences;
use super::id::ResourceId;
use super::job::{ErrorCode, JobStatus, UnknownWord, words};
use super::plan::BlockCode;
use super::recorded::{JobId, ResourceStatus};
use super::spec::SpecHash;

words! {
    /// The word for a condition, for filters, counts and metrics. The order is that of urgency.
    ConditionKind, "condition" {
        Failed = "failed",
        Stalled = "stalled",
        Blocked = "blocked",
        Drifted = "drifted",
        Suspended = "suspended",
        Reconciling = "reconciling",
        Ready = "ready",
    }
}

/// The code of drift that no job puts back.
pub const BY_HAND: &str = "by-hand";

/// How a resource stands, with what is to be said about it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, schemars::JsonSchema)]
#[serde(tag = "type", rename_all = "lowercase")]
pub enum Condition {
    /// It is as it is asked for, as far as anybody knows.
    Ready,
    /// A job is queued or runs that makes it so, or the next reconcile queues one.
    Reconciling,
    /// No job could be planned for some of what is asked for.
    Blocked { code: BlockCode, reason: String },
    /// Nothing gets on, and it takes something from outside: a node that answers, a newer commit, or
    /// somebody who asks for another try.
    Stalled {
        error_code: ErrorCode,
        reason: String,
    },
    /// Somebody holds it back on purpose.
    Suspended { reason: String },
    /// Its last job failed. It is tried again later.
    Failed {
        error_code: ErrorCode,
        reason: String,
    },
    /// The node is found to differ from what was applied.
    Drifted {
        /// In what.
        reason: String,
        /// Whether something of it is put back by no job.
        by_hand: bool,
    },
}

impl Condition {
    /// The word for it.
    #[must_use]
    pub fn kind(&self) -> ConditionKind {
        match self {
            Self::Ready => ConditionKind::Ready,
            Self::Reconciling => ConditionKind::Reconciling,
            Self::Blocked { .. } => ConditionKind::Blocked,
            Self::Stalled { .. } => ConditionKind::Stalled,
            Self::Suspended { .. } => ConditionKind::Suspended,
            Self::Failed { .. } => ConditionKind::Failed,
            Self::Drifted { .. } => ConditionKind::Drifted,
        }
    }

    /// The error code, or the planner's word for what blocks it.
    #[must_use]
    pub fn code(&self) -> Option<&str> {
        match self {
            Self::Blocked { code, .. } => Some(code.as_str()),
            Self::Stalled { error_code, .. } | Self::Failed { error_code, .. } => {
                Some(error_code.as_str())
            }
            Self::Drifted { by_hand, .. } => by_hand.then_some(BY_HAND),
            Self::Suspended { .. } | Self::Ready | Self::Reconciling => None,
        }
    }

    /// Why, as a sentence for people, where there is more to say than the word.
    #[must_use]
    pub fn reason(&self) -> Option<&str> {
        match self {
            Self::Blocked { reason, .. }
            | Self::Stalled { reason, .. }
            | Self::Suspended { reason }
            | Self::Failed { reason, .. }
            | Self::Drifted { reason, .. } => Some(reason),
            Self::Ready | Self::Reconciling => None,
        }
    }
}

/// A condition and when it came to hold.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, schemars::JsonSchema)]
pub struct ConditionSince {
    #[serde(flatten)]
    pub condition: Condition,
    /// In UTC.
    pub since: Timestamp,
}

/// One resource against what is asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Standing {
    pub id: ResourceId,
    /// The name of the node that it is on, or that its job is on; none before there was one.
    pub node: Option<String>,
    /// The most urgent of its conditions.
    pub condition: Condition,
    /// What holds besides, the most urgent first: none hides another.
    pub beside: Vec<ConditionSince>,
    /// The revision that first asked for the form that is wanted now.
    pub desired_revision: Option<String>,
    /// The revision that the last job for it began to carry out.
    pub attempted_revision: Option<String>,
    /// The revision of what is recorded; none before the first job has succeeded.
    pub applied_revision: Option<String>,
    /// The job that makes it so, that failed to, or that found it to differ, if there is one.
    pub job: Option<JobId>,
    /// When it came to stand so, in UTC.
    pub changed_at: Timestamp,
}

impl Standing {
    /// All that holds of it, the most urgent first.
    #[must_use]
    pub fn conditions(&self) -> Vec<ConditionSince> {
        let first = ConditionSince {
            condition: self.condition.clone(),
            since: self.changed_at,
        };
        [first].into_iter().chain(self.beside.clone()).collect()
    }
}

/// What is recorded that the condition of one resource follows from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ConditionInputs {
    /// What the last successful job left.
    pub recorded: Option<RecordedFact>,
    /// What the last plan of the fleet wanted of it; none where that is what is recorded.
    pub target: Option<Target>,
    /// A job that has not ended and makes or checks it.
    pub open: Option<OpenJob>,
    /// The last job that ended and tells how it stands.
    pub ended: Option<EndedJob>,
    /// The resource whose `suspend` holds it back: itself or what it belongs to.
    pub suspended_by: Option<ResourceId>,
    /// Since when its node has not answered a job.
    pub away_since: Option<Timestamp>,
    /// What the last look at it found, when something differs.
    pub drift: Option<DriftFact>,
}

/// That the node is known to differ from what was applied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DriftFact {
    pub since: Timestamp,
    /// The job that looked.
    pub job: Option<JobId>,
    pub found: Differences,
}

/// The record of a resource, in short.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordedFact {
    pub status: ResourceStatus,
    /// A digest of its spec and of what its files are made of besides.
    pub form: SpecHash,
    pub node: Option<String>,
    pub revision: String,
    pub updated_at: Timestamp,
}

/// What is wanted of a resource that is not as it is wanted, or was not when it was looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// The revision that first asked for it.
    pub revision: String,
    /// The hash of the spec that is asked for.
    pub wanted: SpecHash,
    pub since: Timestamp,
    /// The revision of the last job that began to carry it or an earlier form out.
    pub attempted: Option<String>,
    /// Why something of it has no job; what can be let comes first.
    pub blocked: Vec<Block>,
    /// Whether it has failed as often as it is tried without being asked.
    pub given_up: bool,
}

/// What the planner said in place of a job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Block {
    pub code: BlockCode,
    pub reason: String,
    pub since: Timestamp,
}

/// A job that is queued or runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenJob {
    pub id: JobId,
    pub status: JobStatus,
    pub revision: String,
    pub created_at: Timestamp,
    pub started_at: Option<Timestamp>,
}

/// A job that has ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EndedJob {
    pub id: JobId,
    pub status: JobStatus,
    pub error_code: Option<ErrorCode>,
    pub error_message: Option<String>,
    pub revision: String,
    pub started_at: Option<Timestamp>,
    pub finished_at: Timestamp,
}

/// How `id` stands, given what is recorded; `looked_at` is the moment for which nothing else is known.
///
/// What a job does at this moment comes first, then what keeps one from being planned, then how
/// the last one ended, then what was found on the node.
#[must_use]
pub fn standing(
    id: ResourceId,
    node: Option<String>,
    facts: &ConditionInputs,
    looked_at: Timestamp,
) -> Standing {
    let (condition, changed_at) = condition(facts, looked_at);
    let beside = beside(facts, &condition, looked_at);
    let applied = facts.recorded.as_ref().map(|known| known.revision.clone());
    // A later commit may have carried the same wish out.
    let target = facts.target.as_ref().filter(|_| !is_applied(facts));
    let desired = target.map(|target| target.revision.clone());
    Standing {
        id,
        node,
        job: job(facts, &condition),
        condition,
        beside,
        desired_revision: desired.or_else(|| applied.clone()),
        attempted_revision: attempted(facts).or_else(|| applied.clone()),
        applied_revision: applied,
        changed_at,
    }
}

fn condition(facts: &ConditionInputs, looked_at: Timestamp) -> (Condition, Timestamp) {
    if let Some(open) = &facts.open {
        return under_way(open, facts.away_since);
    }
    if let Some(suspended) = suspended(facts, looked_at) {
        return suspended;
    }
    let target_since = facts.target.as_ref().map(|target| target.since);
    let fallback = known_since(facts, looked_at);
    if let Some(failure) = failure(facts) {
        return failure;
    }
    let target = facts.target.as_ref();
    if let Some(block) = target.and_then(|target| target.blocked.first()) {
        // That it is put back later is less than that it is to be put back, and what stays as it is for as long as the
        // document does must not hide what may be a break-in.
        let is_less = block.code.is_lasting()
            || (block.code == BlockCode::OutsideWindow && is_recorded_as_wanted(facts));
        if is_less && let Some(drift) = &facts.drift {
            return drifted(drift);
        }
        return blocked(block);
    }
    match facts.recorded.as_ref().map(|known| known.status) {
        Some(ResourceStatus::Active | ResourceStatus::Decommissioned) if is_applied(facts) => {
            match &facts.drift {
                Some(drift) => drifted(drift),
                None => (Condition::Ready, fallback),
            }
        }
        Some(ResourceStatus::Unreachable) => {
            let since = facts.away_since.unwrap_or(fallback);
            (away(since), since)
        }
        Some(ResourceStatus::Failed) => {
            let condition = Condition::Failed {
                error_code: ErrorCode::InternalError,
                reason: "it is recorded as failed, and no job says why".to_owned(),
            };
            (condition, fallback)
        }
        // Without a job of its own: the next reconcile plans one.
        Some(
            ResourceStatus::Active
            | ResourceStatus::Decommissioned
            | ResourceStatus::New
            | ResourceStatus::Provisioning
            | ResourceStatus::Cloning
            | ResourceStatus::Deploying
            | ResourceStatus::Restoring,
        )
        | None => (Condition::Reconciling, target_since.unwrap_or(fallback)),
    }
}

/// What the first one would hide.
fn beside(facts: &ConditionInputs, first: &Condition, looked_at: Timestamp) -> Vec<ConditionSince> {
    let blocks = facts.target.iter().flat_map(|target| &target.blocked);
    let mut others: Vec<ConditionSince> = failure(facts)
        .into_iter()
        .chain(blocks.map(blocked))
        .chain(facts.drift.as_ref().map(drifted))
        .chain(suspended(facts, looked_at))
        .filter(|(condition, _)| condition != first)
        .map(|(condition, since)| ConditionSince { condition, since })
        .collect();
    others.sort_by_key(|other| other.condition.kind());
    others
}

/// Since when what is known of the resource is so.
fn known_since(facts: &ConditionInputs, looked_at: Timestamp) -> Timestamp {
    let recorded = facts.recorded.as_ref().map(|known| known.updated_at);
    let wanted = facts.target.as_ref().map(|target| target.since);
    recorded.or(wanted).unwrap_or(looked_at)
}

fn suspended(facts: &ConditionInputs, looked_at: Timestamp) -> Option<(Condition, Timestamp)> {
    let holder = facts.suspended_by.as_ref()?;
    let reason = format!("`{holder}` is suspended");
    Some((
        Condition::Suspended { reason },
        known_since(facts, looked_at),
    ))
}

fn blocked(block: &Block) -> (Condition, Timestamp) {
    let reason = block.reason.clone();
    let code = block.code;
    let condition = match code.is_on_purpose() {
        true => Condition::Suspended { reason },
        false => Condition::Blocked { code, reason },
    };
    (condition, block.since)
}

fn drifted(drift: &DriftFact) -> (Condition, Timestamp) {
    let condition = Condition::Drifted {
        reason: drift.found.sentence().unwrap_or_default(),
        by_hand: !drift.found.by_hand.is_empty(),
    };
    (condition, drift.since)
}

fn under_way(open: &OpenJob, away_since: Option<Timestamp>) -> (Condition, Timestamp) {
    match (open.status, away_since) {
        (JobStatus::Queued, Some(since)) => (away(since), since.max(open.created_at)),
        (JobStatus::Running | JobStatus::Unknown, _) => (
            Condition::Reconciling,
            open.started_at.unwrap_or(open.created_at),
        ),
        (
            JobStatus::Queued | JobStatus::Succeeded | JobStatus::Failed | JobStatus::Cancelled,
            _,
        ) => (Condition::Reconciling, open.created_at),
    }
}

fn away(since: Timestamp) -> Condition {
    Condition::Stalled {
        error_code: ErrorCode::AnsibleHostUnreachable,
        reason: format!(
            "its node has not answered since {}",
            since.strftime("%Y-%m-%dT%H:%M:%SZ")
        ),
    }
}

/// What the end of the last job means, unless it ended well or was only overtaken.
fn failure(facts: &ConditionInputs) -> Option<(Condition, Timestamp)> {
    let is_failed = facts
        .recorded
        .as_ref()
        .is_some_and(|known| known.status == ResourceStatus::Failed);
    if is_applied(facts) && !is_failed {
        return None;
    }
    let ended = facts.ended.as_ref()?;
    let error_code = match ended.status {
        JobStatus::Failed => ended.error_code.unwrap_or(ErrorCode::InternalError),
        JobStatus::Cancelled => ended.error_code?,
        JobStatus::Queued | JobStatus::Running | JobStatus::Unknown | JobStatus::Succeeded => {
            return None;
        }
    };
    let first = |message: &String| message.lines().next().map(str::to_owned);
    let said = ended.error_message.as_ref().and_then(first);
    let reason = said.unwrap_or_else(|| format!("its last job ended with `{error_code}`"));
    let given_up = facts.target.as_ref().is_some_and(|target| target.given_up);
    let condition = match error_code {
        // They say nothing about the resource: it is planned anew.
        ErrorCode::Superseded | ErrorCode::PlanStale => return None,
        ErrorCode::DependencyFailed => Condition::Blocked {
            code: BlockCode::DependencyFailed,
            reason,
        },
        ErrorCode::CancelledByUser => Condition::Stalled { error_code, reason },
        error_code if given_up => Condition::Stalled { error_code, reason },
        error_code => Condition::Failed { error_code, reason },
    };
    Some((condition, ended.finished_at))
}

/// Whether what is recorded is all that is wanted, and nothing is held back.
fn is_applied(facts: &ConditionInputs) -> bool {
    let target = facts.target.as_ref();
    is_recorded_as_wanted(facts) && target.is_none_or(|target| target.blocked.is_empty())
}

fn is_recorded_as_wanted(facts: &ConditionInputs) -> bool {
    match (&facts.recorded, &facts.target) {
        (Some(recorded), Some(target)) => recorded.form == target.wanted,
        (Some(_), None) => true,
        (None, _) => false,
    }
}

fn attempted(facts: &ConditionInputs) -> Option<String> {
    let began = |started: Option<Timestamp>, revision: &String| started.map(|_| revision.clone());
    let open = facts.open.as_ref();
    let ended = facts.ended.as_ref().filter(|_| !is_applied(facts));
    let target = facts.target.as_ref().filter(|_| !is_applied(facts));
    open.and_then(|job| began(job.started_at, &job.revision))
        .or_else(|| ended.and_then(|job| began(job.started_at, &job.revision)))
        .or_else(|| target?.attempted.clone())
}

fn job(facts: &ConditionInputs, condition: &Condition) -> Option<JobId> {
    let open = facts.open.as_ref().map(|job| job.id);
    match condition.kind() {
        ConditionKind::Failed | ConditionKind::Stalled | ConditionKind::Blocked => {
            open.or_else(|| facts.ended.as_ref().map(|job| job.id))
        }
        ConditionKind::Drifted => facts.drift.as_ref().and_then(|drift| drift.job),
        ConditionKind::Reconciling | ConditionKind::Ready | ConditionKind::Suspended => open,
    }
}

#[cfg(test)]
#[path = "condition_tests.rs"]
mod tests;
