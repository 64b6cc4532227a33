//! What there is to do: the plan between what is wanted and what is recorded, with all that its jobs need.
//!
//! - [`specs`], [`followers`], [`planning`]: the plan.
//! - [`payload`], [`entitlement`], [`prepared`]: what each job is handed, and may be.
//! - [`saved_plan`], [`files`]: a plan in a file, and the files that it writes.

pub(super) mod entitlement;
pub(super) mod files;
pub(super) mod followers;
pub(super) mod payload;
pub(super) mod planning;
pub(super) mod prepared;
pub(super) mod saved_plan;
pub(super) mod specs;
