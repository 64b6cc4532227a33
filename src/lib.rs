//! Pressluft keeps a fleet of servers and the WordPress sites on them the way a git
//! repository says they should be.
//!
//! `core` decides and does no IO; `git`, `store`, `secrets` and `ansible` each own one part
//! of the outside world; `daemon` runs one pass over them; `web` shows what is recorded;
//! `cli` is what a person at a terminal sees.
//! `tests/architecture.rs` holds the direction of these dependencies.

pub mod ansible;
pub mod cli;
pub mod clock;
pub mod core;
pub mod crash_point;
pub mod daemon;
pub mod git;
pub mod process;
pub mod secrets;
pub mod store;
pub mod web;
