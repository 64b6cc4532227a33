//! Runs jobs: unpacks our playbooks, writes the directory of an attempt, keeps warm SSH
//! connections and a warm Ansible, runs stock `ansible-playbook` confined and under a supervisor, and
//! reads its events.
//!
//! It knows neither the store nor the documents. What happens to a result is the caller's
//! business; what a result means is decided in `core::outcome`.

mod agent;
mod attempt;
mod broker;
mod config;
mod confine;
mod connection;
pub mod content;
pub mod doctor;
mod engine;
mod follow;
mod guardian;
mod invocation;
mod job_group;
mod known_hosts;
mod log;
mod log_files;
mod private;
mod process_tree;
mod spawner;
mod ssh;
mod stream;
pub mod supervisor;
mod unsafe_text;
pub mod venv;
mod warm;
mod warm_job;

pub use confine::confine_to_nothing;
pub use engine::{Engine, EngineError};
pub use invocation::{Cancel, Host, Invocation, InvocationError, Playbook, Settings};
pub use job_group::{end_leftovers, leftovers};
pub use log_files::{remove_logs, sweep_attempts};
pub use private::try_room;
pub use ssh::{SshKeyError, public_key};
