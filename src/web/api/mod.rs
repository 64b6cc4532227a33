//! The JSON interface: what is recorded, a page at a time.

pub(super) mod audit;
pub(super) mod jobs;
pub(super) mod page;
pub(super) mod resources;
pub(super) mod revisions;
pub(super) mod totals;
