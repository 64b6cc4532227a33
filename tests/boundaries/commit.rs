//! A commit against the control plane, against other sites, and against the nodes.
//!
//! What a commit can do to secrets ends before any host is asked, so the tests of that need none:
//! `tests/program/secrets.rs` (commits, saved plans, queued jobs), `tests/documents/secrets.rs` (every field
//! of every schema), `tests/documents/ownership.rs` (code owners), `tests/secrets/owners.rs` (copied files).
