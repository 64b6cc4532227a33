//! The tests that `docs/security.md` names are there, and what holds each boundary has a test that was seen to fail
//! without it: `tests/boundaries/guards.toml`, which `tests/boundaries/guards run` carries out.

use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::repository::path;

/// The cases that were closed, and what held from the beginning.
const ROWS: [&str; 26] = [
    "C1", "C2", "C3", "H1", "H2", "H3", "H4", "H5", "M1", "M2", "M3", "M4", "M5", "L1", "L2", "X1",
    "X2", "X3", "X4", "Y1", "Y2", "Y3", "Y4", "Y5", "Y6", "held",
];

#[derive(Deserialize)]
struct Guards {
    guard: Vec<Guard>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Guard {
    row: String,
    what: String,
    test: String,
    case: Option<String>,
    fleet: Option<String>,
    told: String,
    edits: Vec<Edit>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Edit {
    file: String,
    find: String,
    replace: String,
}

fn guards() -> Vec<Guard> {
    let text = read(&path("tests/boundaries/guards.toml"));
    toml::from_str::<Guards>(&text).expect("guards").guard
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The texts of all files with this ending below a directory.
fn texts(directory: &Path, ending: &str) -> String {
    let mut text = String::new();
    for entry in std::fs::read_dir(directory).expect("a directory").flatten() {
        let path: PathBuf = entry.path();
        if path.is_dir() {
            text += &texts(&path, ending);
        } else if path.extension().is_some_and(|found| found == ending) {
            text += &read(&path);
        }
    }
    text
}

#[test]
fn every_test_that_is_named_exists() {
    let text = read(&path("docs/security.md"));
    let named: Vec<(&str, &str)> = text
        .split('`')
        .filter(|word| word.starts_with("tests/") || word.starts_with("src/"))
        .filter_map(|word| word.split_once(": "))
        .collect();
    assert!(named.len() > 40, "only {} were found", named.len());
    for (file, function) in named {
        let code = std::fs::read_to_string(path(file)).unwrap_or_default();
        let is_there = ["fn ", "def "]
            .iter()
            .any(|word| code.contains(&format!("{word}{function}(")));
        assert!(is_there, "`{file}` has no `{function}`");
    }
}

#[test]
fn every_guard_stands_where_it_is_said_to() {
    for Guard { what, edits, .. } in guards() {
        assert!(!edits.is_empty(), "`{what}`");
        for Edit {
            file,
            find,
            replace,
        } in edits
        {
            let count = read(&path(&file)).matches(&find).count();
            assert_eq!(count, 1, "`{what}`: so often `{file}` has the text\n{find}");
            assert_ne!(find, replace, "`{what}`");
        }
    }
}

#[test]
fn every_guard_has_a_test() {
    let tests = texts(&path("tests"), "rs");
    let units = texts(&path("src"), "rs");
    let collection = texts(&path("tests/ansible"), "py");
    for guard in guards() {
        let what = &guard.what;
        assert!(!guard.told.is_empty(), "`{what}`");
        let (kind, name) = guard.test.split_once(' ').expect("a kind and a name");
        let function = name.rsplit([':', '.']).next().expect("a name");
        let (code, word) = match kind {
            "collection" => (&collection, "def"),
            "lib" => (&units, "fn"),
            "cargo" | "hosts" => (&tests, "fn"),
            other => panic!("`{what}`: `{other}` is no kind of test"),
        };
        for name in [Some(function), guard.case.as_deref()]
            .into_iter()
            .flatten()
        {
            assert!(
                code.contains(&format!("{word} {name}(")),
                "`{what}`: there is no `{name}`"
            );
        }
        // What an interrupted run has to take down.
        let boots = kind == "hosts" || name.starts_with("ansible_run ");
        assert_eq!(guard.fleet.is_some(), boots, "`{what}`");
    }
}

#[test]
fn every_case_has_a_guard() {
    let guards = guards();
    for row in ROWS {
        assert!(
            guards.iter().any(|guard| guard.row == row),
            "`{row}` has none"
        );
    }
    let unknown = guards.iter().find(|guard| !ROWS.contains(&&*guard.row));
    assert!(unknown.is_none(), "{:?}", unknown.map(|guard| &guard.row));
}
