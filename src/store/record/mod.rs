//! What is recorded of the fleet: resources as their last successful jobs left them, and what belongs to them.
//!
//! - [`resource`], [`artifact`], [`fact`], [`machine`], [`secret`], [`revision`]: the record.
//! - [`target`], [`drift`], [`due`]: what is asked of it, what was found, and what is due.
//! - [`condition`], [`list`]: how it stands, and pages of it.

pub(super) mod artifact;
pub(super) mod condition;
pub(super) mod drift;
pub(super) mod due;
pub(super) mod fact;
pub(super) mod list;
pub(super) mod machine;
pub(super) mod resource;
pub(super) mod revision;
pub(super) mod secret;
pub(super) mod target;
