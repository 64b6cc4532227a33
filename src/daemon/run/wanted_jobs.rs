//! Which jobs a worker is there for.

use crate::core::recorded::{JobId, PlanId};

/// Which jobs a worker runs and waits for.
#[derive(Clone, Debug)]
pub enum Jobs {
    /// Everything, for ever.
    All,
    /// Those of some plans, until none is left that could run.
    Plans(Plans),
}

/// The plans of a run.
#[derive(Clone, Debug, Default)]
pub struct Plans {
    /// The plan that was just queued.
    pub own: Option<PlanId>,
    /// Jobs of other plans that do what was to be queued, with their plans.
    pub joined: Vec<(JobId, PlanId)>,
    /// Plans whose own worker is gone: what they left queued runs, too.
    pub adopted: Vec<PlanId>,
}
