use super::*; use crate::core::{desired::{self, Desired}, diagnostic::Diagnostic};
pub struct Loaded { pub desired: Desired, pub diagnostics: Vec<Diagnostic> }
pub fn load(s: &Snapshot, _: &std::path::Path) -> Result<Loaded, GitError> {
    let mut files = Vec::new();
    for f in &s.files { let b = s.read(f)?; files.push((f.path.clone(), crate::core::document::read::parse_bytes(&f.path, &b))); }
    let (desired, diagnostics) = desired::assemble(&files);
    Ok(Loaded{desired, diagnostics})
}
