//! What is queued: a plan, what a schedule or a person asks for, and what a success leaves.

pub(super) mod drift;
pub(super) mod enqueue;
pub(super) mod record;
pub(super) mod repeat;
pub(super) mod requests;
pub(super) mod reset;
pub(super) mod schedule;
