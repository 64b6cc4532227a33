use super::*; use crate::core::{desired::Desired, diagnostic::Diagnostic};
pub struct Loaded { pub desired: Desired, pub diagnostics: Vec<Diagnostic> }
pub fn load(_: &Snapshot, _: &std::path::Path) -> Result<Loaded, GitError> { Ok(Loaded{desired: Desired, diagnostics: vec![]}) }
