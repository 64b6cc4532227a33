//! The invariants of the design, read from nothing but the database and the process table.
//!
//! I1 to I4, I6 and I7 are in the database (`Store::violations`), I5 needs the process table
//! ([`processes`]), I8 the files and the command lines ([`secrets`]). [`mutations`] breaks each
//! of them on purpose and looks whether that is found.

pub(crate) mod mutations;
pub(crate) mod processes;
pub(crate) mod secrets;

use std::path::Path;

use pressluft::store::Store;

/// What is wrong with the database: opened as the next process would open it. What cannot be
/// opened or read at all is wrong, too.
pub(crate) fn database(path: &Path) -> Vec<String> {
    let found = Store::open(path).and_then(|store| store.violations());
    match found {
        Ok(violations) => violations
            .into_iter()
            .map(|violation| format!("{}: {}", violation.invariant, violation.message))
            .collect(),
        Err(error) => vec![format!("I7: the database cannot be checked: {error:?}")],
    }
}
