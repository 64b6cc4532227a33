//! Dependencies point one way: `main → cli → daemon, web → git, store, secrets, ansible → core`.
//!
//! This reads the sources, because the compiler does not know the direction.

#![expect(clippy::expect_used, reason = "what fails here is the test")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// What each module may use of the crate besides itself.
const ALLOWED: &[(&str, &[&str])] = &[
    ("core", &[]),
    ("clock", &[]),
    ("crash_point", &[]),
    ("process", &[]),
    ("git", &["core", "process", "clock"]),
    ("store", &["core", "crash_point"]),
    ("secrets", &["core", "store", "process"]),
    ("ansible", &["core", "process", "clock"]),
    (
        "daemon",
        &[
            "core", "git", "store", "secrets", "ansible", "clock", "process",
        ],
    ),
    ("web", &["core", "store", "secrets", "clock"]),
    (
        "cli",
        &[
            "core", "git", "store", "secrets", "ansible", "daemon", "web", "clock", "process",
        ],
    ),
];

/// Crates that have one home each.
const HOMES: &[(&str, &str)] = &[
    ("rusqlite", "store"),
    ("clap", "cli"),
    ("git2", "git"),
    ("command_fds", "ansible"),
    ("indicatif", "cli"),
    ("axum", "web"),
    ("tokio", "web"),
    ("hyper", "web"),
    ("argon2", "web"),
    ("ureq", "daemon"),
];

fn sources(dir: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(dir).expect("a source directory") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

/// The top-level module of each source file, with the lines of code in it.
fn files() -> Vec<(String, PathBuf, Vec<String>)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut paths = Vec::new();
    sources(&root, &mut paths);
    paths
        .into_iter()
        .map(|path| {
            let relative = path.strip_prefix(&root).expect("below src");
            let first = relative.components().next().expect("a name");
            let module = first
                .as_os_str()
                .to_string_lossy()
                .trim_end_matches(".rs")
                .to_owned();
            let text = std::fs::read_to_string(&path).expect("a source file");
            let code = text
                .lines()
                .map(|line| line.split("//").next().unwrap_or("").to_owned())
                .collect();
            (module, path, code)
        })
        .collect()
}

/// The modules that follow `crate::` in a line.
fn uses(line: &str) -> Vec<String> {
    line.split("crate::")
        .skip(1)
        .flat_map(|rest| {
            let rest = rest.trim_start_matches('{');
            rest.split(['{', ',', '}'])
                .take(if line.contains("crate::{") { 20 } else { 1 })
                .map(|part| {
                    part.trim()
                        .chars()
                        .take_while(|c| c.is_alphanumeric() || *c == '_')
                        .collect()
                })
                .collect::<Vec<String>>()
        })
        .collect()
}

#[test]
fn modules_use_only_what_is_below_them() {
    let allowed: BTreeMap<&str, &[&str]> = ALLOWED.iter().copied().collect();
    let mut wrong = Vec::new();
    for (module, path, code) in files() {
        let Some(may_use) = allowed.get(module.as_str()) else {
            assert!(
                matches!(module.as_str(), "lib" | "main"),
                "`{module}` has no rule here"
            );
            continue;
        };
        for line in code {
            for used in uses(&line) {
                let known = allowed.contains_key(used.as_str());
                if known && used != module && !may_use.contains(&used.as_str()) {
                    wrong.push(format!("{}: {}", path.display(), line.trim()));
                }
            }
        }
    }
    assert!(
        wrong.is_empty(),
        "against the direction:\n{}",
        wrong.join("\n")
    );
}

#[test]
fn each_of_these_crates_stays_in_its_home() {
    let mut wrong = Vec::new();
    for (module, path, code) in files() {
        for line in code {
            for (name, home) in HOMES {
                if line.contains(&format!("{name}::")) && module != *home {
                    wrong.push(format!("{}: {}", path.display(), line.trim()));
                }
            }
        }
    }
    assert!(
        wrong.is_empty(),
        "outside of its home:\n{}",
        wrong.join("\n")
    );
}

#[test]
fn the_core_does_no_io() {
    let forbidden = [
        "std::fs",
        "std::net::Tcp",
        "std::process",
        "std::env",
        "std::thread",
        "rand::",
    ];
    let mut wrong = Vec::new();
    for (module, path, code) in files() {
        if module != "core" || path.ends_with("tests.rs") {
            continue;
        }
        // Tests in the same file come last and may read fixtures.
        for line in code.iter().take_while(|line| !line.contains("mod tests {")) {
            if forbidden.iter().any(|word| line.contains(word)) {
                wrong.push(format!("{}: {}", path.display(), line.trim()));
            }
        }
    }
    assert!(wrong.is_empty(), "IO in the core:\n{}", wrong.join("\n"));
}

#[test]
fn marks_of_other_systems_are_taken_off_in_one_place() {
    for (_, path, code) in files() {
        let takes = |line: &String| line.contains("strip_prefix('\\u{FEFF}')");
        let is_home = path.ends_with("core/plain_text.rs");
        assert!(
            is_home || !code.iter().any(takes),
            "{}: use `core::plain_text`",
            path.display()
        );
    }
}
