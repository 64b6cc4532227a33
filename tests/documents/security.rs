//! The tests that `docs/security.md` names are there.

use crate::repository::path;

#[test]
fn every_test_that_is_named_exists() {
    let text = std::fs::read_to_string(path("docs/security.md")).expect("the page");
    let named: Vec<(&str, &str)> = text
        .split('`')
        .filter(|word| word.starts_with("tests/"))
        .map(|word| word.split_once(": ").expect("a file and a function"))
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
