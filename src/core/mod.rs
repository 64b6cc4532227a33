//! The functional core: no IO, no clock, no randomness, no async.
//!
//! Values flow one way: documents → desired → changes → plan → jobs → invocations, and back
//! as events → outcomes. Time, ids and keys enter as arguments.

pub mod address;
pub mod answer;
pub mod audit;
pub mod carrier;
pub mod causes;
pub mod change;
pub mod condition;
pub mod desired;
pub mod diagnostic;
pub mod document;
pub mod drift;
pub mod event;
pub mod facts;
pub mod fast_map;
pub mod fingerprint;
pub mod history;
pub mod id;
pub mod job;
pub mod job_kind;
pub mod leaf;
pub mod login_limit;
pub mod names;
pub mod notice;
pub mod outcome;
pub mod plain_text;
pub mod plan;
pub mod reconcile;
pub mod recorded;
pub mod recurring;
pub mod retry;
pub mod schedule;
pub mod secret_owner;
pub mod spec;
pub mod tree;
pub mod unified;
