//! The end of history: what is kept of the past, and how the rest is taken away.
//!
//! - [`look`]: looks that found nothing new become counts and a small chart, when they end.
//! - [`jobs`]: ended jobs, with their attempts, tasks, payloads and plans.
//! - [`parts`]: parts of payloads and ciphertexts that no job names any more.
//! - [`rest`]: revisions, messages, sessions.
//! - [`close`]: entries of the audit chain, which move into files and stay provable.
//! - [`size`]: how much there is, and how it grows.
//!
//! Each function that takes something away is one short transaction with a bounded number of rows.
//! How often and in which order they run is the caller's business. See
//! `docs/decisions/0023-history-has-an-end.md`.

pub(super) mod close;
mod jobs;
pub(super) mod look;
mod parts;
mod rest;
pub(super) mod segment;
mod size;

pub use close::{ClearingUp, Closing};
pub use jobs::{Ended, Excess, Removed};
pub use look::Looks;
pub use parts::{Named, Scan};
pub use size::{Growth, HistorySize};
