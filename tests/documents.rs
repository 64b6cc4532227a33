//! Documents from the outside: schemas, references, examples, mistakes, hostile files.

#![expect(clippy::expect_used, reason = "a test ends where something is missing")]

#[path = "documents/codes.rs"]
mod codes;
#[path = "documents/effects.rs"]
mod effects;
#[path = "documents/examples.rs"]
mod examples;
#[path = "documents/generated.rs"]
mod generated;
#[path = "documents/hostile.rs"]
mod hostile;
#[path = "documents/init.rs"]
mod init;
#[path = "documents/mistakes.rs"]
mod mistakes;
#[path = "documents/ownership.rs"]
mod ownership;
#[path = "documents/properties.rs"]
mod properties;
#[path = "documents/recheck.rs"]
mod recheck;
#[path = "documents/reference.rs"]
mod reference;
#[path = "documents/repository.rs"]
mod repository;
#[path = "documents/secrets.rs"]
mod secrets;
#[path = "documents/security.rs"]
mod security;
