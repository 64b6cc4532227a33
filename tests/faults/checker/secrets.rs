//! I8: no secret in the database, its log, other files, command lines or environments.

use std::fs;
use std::path::Path;

use crate::Result;

/// Every place where one of the secrets can be read: the files below `directory`, and the
/// arguments and environments of all processes.
pub(crate) fn leaks(secrets: &[&str], directory: &Path) -> Result<Vec<String>> {
    let mut found = Vec::new();
    files(secrets, directory, &mut found)?;
    for entry in fs::read_dir("/proc")? {
        let path = entry?.path();
        let is_process = path
            .file_name()
            .is_some_and(|name| name.to_string_lossy().bytes().all(|b| b.is_ascii_digit()));
        for part in ["cmdline", "environ"] {
            // It may have ended, or belong to somebody else.
            if is_process && let Ok(content) = fs::read(path.join(part)) {
                report(secrets, &content, &path.join(part), &mut found);
            }
        }
    }
    Ok(found)
}

fn files(secrets: &[&str], directory: &Path, found: &mut Vec<String>) -> Result<()> {
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        let kind = entry.file_type()?;
        if kind.is_dir() {
            files(secrets, &entry.path(), found)?;
        } else if kind.is_file() {
            // A log or a journal may be removed while this looks.
            if let Ok(content) = fs::read(entry.path()) {
                report(secrets, &content, &entry.path(), found);
            }
        }
    }
    Ok(())
}

fn report(secrets: &[&str], content: &[u8], path: &Path, found: &mut Vec<String>) {
    for secret in secrets {
        let needle = secret.as_bytes();
        if content.windows(needle.len()).any(|window| window == needle) {
            found.push(format!("I8: a secret is in {}", path.display()));
        }
    }
}
