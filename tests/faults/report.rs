//! What a case counted and found.

/// Runs and what broke in them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Report {
    pub(crate) runs: u64,
    pub(crate) violations: Vec<String>,
    /// What else was measured.
    pub(crate) notes: Vec<String>,
}

impl Report {
    /// Counts one run with what broke in it.
    pub(crate) fn run(&mut self, violations: Vec<String>) {
        self.runs += 1;
        self.violations.extend(violations);
    }

    pub(crate) fn note(&mut self, note: impl Into<String>) {
        self.notes.push(note.into());
    }

    pub(crate) fn add(&mut self, other: Self) {
        self.runs += other.runs;
        self.violations.extend(other.violations);
        self.notes.extend(other.notes);
    }
}
