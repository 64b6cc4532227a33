//! Reading the fleet repo, with real repositories, real servers and real hostile files.

mod file_url;
mod load;
mod refused;
mod repository;
mod ssh;
mod working_tree;
