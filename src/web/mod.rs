//! The status endpoint: HTTP for people and programs that want to see what is recorded.
//!
//! It reads the database and nothing else, and changes nothing but logins. The only other thing
//! that it takes is a git host's word that something was pushed, which it hands to `wake`. What
//! is async in this program is in here, on a runtime of its own.
//! See `docs/decisions/0013-status-endpoint.md`.

mod access;
mod address;
mod api;
mod assets;
mod auth;
mod connection;
mod error;
mod events;
mod guard;
mod hook;
mod login;
mod metrics;
mod openapi;
mod options;
mod pages;
pub mod password;
mod pool;
mod probe;
mod reply;
mod routes;
mod seats;
mod server;
mod stalled;
mod standings;
mod state;
mod strict;
mod throttle;
mod token;

pub use access::{Access, Route, routes};
pub use openapi::document as openapi;
pub use options::{NotReady, Options, Remote, Wake};
pub use server::{Handle, Server, WebError};
pub use token::{digest as token_digest, new_api_token};
