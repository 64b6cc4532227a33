//! The functional core: no IO, no clock, no randomness, no async.
//!
//! Values flow one way: documents → desired → changes → plan → jobs → invocations, and back
//! as events → outcomes. Time, ids and keys enter as arguments.

pub mod desired;
pub mod diagnostic;
pub mod document;
pub mod facts;
pub mod id;
pub mod job;
pub mod names;
pub mod spec;
