//! A fleet repo with many mistakes: all are told at once, each at its place.

use crate::repository::{check, compare, lines, path};

#[test]
fn every_mistake_is_told_at_its_place() {
    let assembled = check(&path("tests/data/mistakes"));
    assert!(assembled.desired.is_none());
    compare("tests/data/mistakes.txt", &lines(&assembled.diagnostics));
}

/// Each mistake is marked in its file by a comment `# ! CODE COLUMN`, so that the snapshot
/// cannot drift away from what it should say.
#[test]
fn every_mistake_is_one_that_was_made() {
    let root = path("tests/data/mistakes");
    let mut expected = Vec::new();
    for (file, bytes) in crate::repository::files(&root) {
        let text = String::from_utf8(bytes).expect("the mistakes are text");
        for (index, line) in text.lines().enumerate() {
            for mark in line.split("# ! ").skip(1) {
                let mut words = mark.split_whitespace();
                let code = words.next().expect("a mark names a code").to_owned();
                let column: usize = words
                    .next()
                    .and_then(|c| c.parse().ok())
                    .expect("a mark names a column");
                expected.push((file.clone(), index + 1, column, code));
            }
        }
    }
    expected.sort();
    let assembled = check(&root);
    let mut found: Vec<_> = assembled
        .diagnostics
        .iter()
        .map(|d| (d.file.clone(), d.line, d.column, d.code.to_owned()))
        .collect();
    found.sort();
    assert_eq!(found, expected);
    assert!(expected.len() >= 40, "only {} mistakes", expected.len());
}
