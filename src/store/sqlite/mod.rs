//! The file: opening it, what stands beside it, copies of it, and whether it is whole.
//!
//! What is in this room is SQLite's own. Another database has no file to look after.

pub(super) mod backup;
pub(super) mod ballast;
pub(super) mod check;
pub(super) mod copy;
mod failure;
mod figures;
pub(super) mod head;
pub(super) mod invariant;
pub(super) mod open;
pub(super) mod presence;
pub(super) mod restore;
pub(super) mod trust;
