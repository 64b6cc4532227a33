//! Documents from the outside: schemas, references, examples, mistakes, hostile files.

#[path = "documents/codes.rs"]
mod codes;
#[path = "documents/examples.rs"]
mod examples;
#[path = "documents/generated.rs"]
mod generated;
#[path = "documents/hostile.rs"]
mod hostile;
#[path = "documents/mistakes.rs"]
mod mistakes;
#[path = "documents/properties.rs"]
mod properties;
#[path = "documents/reference.rs"]
mod reference;
#[path = "documents/repository.rs"]
mod repository;
