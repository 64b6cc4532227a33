//! `docs/diagnostics.md` lists every code, and no other.

use std::collections::BTreeSet;
use std::path::Path;

use crate::repository::path;

/// Words with dashes in these sources that are no codes.
const OTHERS: [&str; 5] = ["secret-ref", "php-size", "byte-size", "time-span", "dns-01"];

fn documented() -> BTreeSet<String> {
    let text = std::fs::read_to_string(path("docs/diagnostics.md")).expect("the list is there");
    let cells = text
        .lines()
        .filter_map(|line| line.strip_prefix("| `")?.split('`').next());
    cells.map(str::to_owned).collect()
}

fn sources(directory: &Path, text: &mut String) {
    for entry in std::fs::read_dir(directory).expect("the directory can be read") {
        let path = entry.expect("the entry can be read").path();
        let name = path
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        if path.is_dir() {
            sources(&path, text);
        } else if name.ends_with(".rs") && name != "tests.rs" {
            let source = std::fs::read_to_string(&path).expect("the source can be read");
            text.push_str(source.split("#[cfg(test)]").next().unwrap_or_default());
        }
    }
}

fn is_code(word: &str) -> bool {
    word.contains('-')
        && word.split('-').all(|part| {
            !part.is_empty()
                && part
                    .bytes()
                    .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit())
        })
}

#[test]
fn every_code_is_listed() {
    let mut text = String::new();
    for directory in [
        "src/core/document/read",
        "src/core/desired",
        "src/daemon/vet",
    ] {
        sources(&path(directory), &mut text);
    }
    let literals = text
        .split('"')
        .filter(|word| is_code(word) && !OTHERS.contains(word));
    let used: BTreeSet<String> = literals.map(str::to_owned).collect();
    let listed = documented();
    assert_eq!(
        used.difference(&listed).collect::<Vec<_>>(),
        Vec::<&String>::new()
    );
}

#[test]
fn every_listed_code_is_used() {
    let mut text = String::new();
    for directory in [
        "src/core/document/read",
        "src/core/desired",
        "src/daemon/vet",
        "src/git",
    ] {
        sources(&path(directory), &mut text);
    }
    let unused: Vec<String> = documented()
        .into_iter()
        .filter(|code| !text.contains(&format!("\"{code}\"")))
        .collect();
    assert_eq!(unused, Vec::<String>::new());
}
