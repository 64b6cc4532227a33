//! The status endpoint: it shows what is recorded and changes nothing but logins.

pub mod password;
mod token;

pub use token::{digest as token_digest, new_api_token};
