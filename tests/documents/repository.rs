//! Reads a directory the way `validate` does.

use std::path::{Path, PathBuf};

use pressluft::core::desired::{Assembled, assemble};
use pressluft::core::diagnostic::Diagnostic;
use pressluft::core::document::parse_bytes;
use pressluft::core::secret_owner::Reserved;

/// A path in the repository of the program.
pub(crate) fn path(relative: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(relative)
}

/// The YAML files below a directory, by their path in it, sorted; `hooks/` has none.
pub(crate) fn files(root: &Path) -> Vec<(String, Vec<u8>)> {
    let mut files = Vec::new();
    let mut directories = vec![root.to_path_buf()];
    while let Some(directory) = directories.pop() {
        for entry in std::fs::read_dir(&directory).expect("the directory can be read") {
            let path = entry.expect("the entry can be read").path();
            let name = path
                .strip_prefix(root)
                .expect("it is below")
                .to_string_lossy()
                .into_owned();
            if path.is_dir() {
                if name != "hooks" && !name.starts_with('.') {
                    directories.push(path);
                }
            } else if name.ends_with(".yaml") || name.ends_with(".yml") {
                files.push((name, std::fs::read(&path).expect("the file can be read")));
            }
        }
    }
    files.sort();
    files
}

/// All documents of a directory, checked.
pub(crate) fn check(root: &Path) -> Assembled {
    check_files(&files(root))
}

/// All documents of some files, checked.
pub(crate) fn check_files(files: &[(String, Vec<u8>)]) -> Assembled {
    let parsed = files
        .iter()
        .map(|(path, bytes)| source(path, bytes))
        .collect();
    let text = |path: &str| {
        let (_, bytes) = files.iter().find(|(name, _)| name == path)?;
        String::from_utf8(bytes.clone()).ok()
    };
    assemble(parsed, &Reserved::default(), &text)
}

fn source(path: &str, bytes: &[u8]) -> (String, pressluft::core::document::ParsedFile) {
    (path.to_owned(), parse_bytes(path, bytes))
}

/// One line for each diagnostic: where, how long, which, what.
pub(crate) fn lines(diagnostics: &[Diagnostic]) -> String {
    let line = |d: &Diagnostic| {
        let hint = d.hint.as_deref().unwrap_or("-");
        format!(
            "{}:{}:{} {}: {}\n  {hint}\n",
            d.file, d.line, d.column, d.code, d.message
        )
    };
    diagnostics.iter().map(line).collect()
}

/// Compares a generated file with the one of the repository; `UPDATE=1` writes it anew.
#[expect(
    clippy::disallowed_methods,
    reason = "a test is asked to update by the environment"
)]
pub(crate) fn compare(relative: &str, generated: &str) {
    let path = path(relative);
    if std::env::var_os("UPDATE").is_some() {
        let parent = path.parent().expect("a file has a directory");
        std::fs::create_dir_all(parent).expect("the directory can be made");
        std::fs::write(&path, generated).expect("the file can be written");
        return;
    }
    let found = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        found == generated,
        "`{relative}` is out of date; write it anew with `UPDATE=1 cargo test --test documents`"
    );
}
