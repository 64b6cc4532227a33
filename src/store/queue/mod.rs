//! The queue, from the bottom up: rows and numbers, then plans that come in, then work and its ends.
//!
//! - [`job`], [`new_plan`], [`part`], [`event`]: what is in it.
//! - [`counter`], [`stale`], [`ending`], [`mod@unreachable`]: what several of the next ones need.
//! - [`supersede`], [`enqueue`], [`enqueue_requests`]: a plan comes in.
//! - [`claim`], [`lease`], [`finish`], [`recover`]: a job is taken, held, ended, or lost by a death.
//! - [`wait`], [`pause`]: what others ask of it.

pub(super) mod claim;
pub(super) mod counter;
pub(super) mod ending;
pub(super) mod enqueue;
pub(super) mod enqueue_requests;
pub(super) mod event;
pub(super) mod finish;
pub(super) mod job;
pub(super) mod lease;
pub(super) mod new_plan;
pub(super) mod part;
pub(super) mod pause;
pub(super) mod recover;
pub(super) mod stale;
pub(super) mod supersede;
pub(super) mod unreachable;
pub(super) mod wait;
