//! A server as its document says: packages, services, firewall, updates.

use super::{Attempts, Does, JobKind, Phase, Secrets, SourceKind};
use crate::core::id::ResourceKind;
use crate::core::job::JobType;
use crate::core::recorded::ResourceStatus;
use crate::core::tree::node_tree;

pub(super) const KIND: JobKind = JobKind {
    does: Does::Make(ResourceKind::Node),
    phase: Phase::Make,
    status_on_start: Some(ResourceStatus::Provisioning),
    status_on_failure: Some(ResourceStatus::Failed),
    attempts: Attempts::Retried,
    carries_when_made: &[JobType::NodeProvision],
    carries_fields_when_made: &[],
    followed_by: &[],
    reads_facts: true,
    sources: &[SourceKind::WpCli],
    secrets: Secrets::OfNode,
    tree: Some(node_tree),
    proves_health: false,
};
