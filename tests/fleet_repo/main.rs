//! Reading the fleet repo, with real repositories, real servers and real hostile files.

#![expect(clippy::expect_used, reason = "a test that cannot go on fails")]

mod file_url;
mod layouts;
mod load;
mod refused;
mod repository;
mod ssh;
mod working_tree;
