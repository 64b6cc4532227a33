use std::fmt::Write as _;

use super::*;

const DESIGN: &str = include_str!("../../../../tests/data/design.yaml");

fn told_of(file: &ParsedFile) -> String {
    let mut out = String::new();
    for d in &file.diagnostics {
        write!(
            out,
            "{}:{}+{} {}: {}",
            d.line, d.column, d.length, d.code, d.message
        )
        .expect("a string takes everything");
        if let Some(hint) = &d.hint {
            write!(out, " [{hint}]").expect("a string takes everything");
        }
        out.push('\n');
    }
    out
}

#[test]
fn the_documents_of_the_design_are_read() {
    let file = parse_file("pressluft.yaml", DESIGN);
    assert_eq!(told_of(&file), "");
    assert_eq!(file.documents.len(), 5);
}
