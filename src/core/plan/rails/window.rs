//! Outside of `reconcile.windows` nothing begins. What is queued already and does the same goes on, and that is
//! known only once the jobs are packed: so this rail comes last, and is given what it is to let through.

use std::collections::BTreeSet;

use jiff::Timestamp;

use crate::core::id::ResourceId;
use crate::core::plan::{BlockCode, Blocked, Plan, PlannedJob};

/// The windows of the fleet are closed until then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Closed(pub Timestamp);

impl Closed {
    /// Holds back the jobs that are not under way, and changes that need none.
    pub fn hold_back(self, plan: &mut Plan, is_under_way: impl Fn(&PlannedJob) -> bool) {
        let mut waiting: BTreeSet<ResourceId> = BTreeSet::new();
        for job in plan.jobs.extract_if(.., |job| !is_under_way(job)) {
            waiting.extend(job.touched().cloned());
        }
        waiting.extend(plan.records.drain(..).map(|record| record.resource));
        let message = format!(
            "it waits for `reconcile.windows`, of which the next opens at {}",
            self.0.strftime("%Y-%m-%dT%H:%M:%SZ")
        );
        plan.blocked
            .extend(waiting.into_iter().map(|resource| Blocked {
                resource,
                code: BlockCode::OutsideWindow,
                message: message.clone(),
            }));
        plan.blocked.sort();
    }
}
