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

/// What is said about a text: place, code, message and, in brackets, what to do.
fn told(text: &str) -> String {
    told_of(&parse_file("a.yaml", text))
}

#[test]
fn the_documents_of_the_design_are_read() {
    let file = parse_file("pressluft.yaml", DESIGN);
    assert_eq!(told_of(&file), "");
    assert_eq!(file.documents.len(), 5);
}

#[test]
fn every_problem_of_a_document_comes_with_what_to_do() {
    let text = "kind: Site
name: Acme Bakery
node: [a, b]
memory: 3
admin: {user: acme, emial: x@example.com}
protect: yes
plugins: [{version: 1.0}, woo]
";
    assert_eq!(
        told(text),
        "\
2:7+11 invalid-value: `name`: `Acme Bakery` is not a name for a resource [use lower-case letters, \
digits and single dashes, beginning with a letter and not ending with a dash, at most 40 \
characters, such as `acme-bakery`]
3:7+1 wrong-type: `node` must be a value such as `acme`, not a list [for example `acme`]
4:1+6 unknown-field: Site has no field `memory` [Site can have `code`, `import`, `locale`, \
`moved`, `suspend`, `themes`, `title`, `updates`, `wordpress`]
5:21+5 unknown-field: `admin` has no field `emial` [did you mean `email`?]
6:10+3 wrong-type: `protect` must be `true` or `false`, not `yes` [write `true`]
7:11+1 missing-field: `plugins[0]` has no `name` [add `name: woocommerce`]
7:27+3 wrong-type: `plugins[1]` must be a map of fields, not a single value [write its fields \
indented below it, or as `{FIELD: VALUE}`]
"
    );
}

#[test]
fn a_mistake_in_one_document_does_not_hide_those_of_others() {
    assert_eq!(
        told("kind: Node\nname: [\n---\nkind: Nod\n---\nssh: 1\nkind: Node\n"),
        "\
2:7+1 yaml-syntax: unclosed bracket '[' [look for a missing quote, colon or bracket, or a wrong \
indentation, here or in the line before]
4:7+3 unknown-kind: `Nod` is not a kind [did you mean `Node`?]
6:6+1 wrong-type: `ssh` must be a map of fields, not a single value [write its fields indented \
below it, or as `{FIELD: VALUE}`]
7:1+4 missing-field: the document has no `name` [add `name: acme`]
7:1+4 missing-field: the document has no `host` [add `host: 203.0.113.10`]
"
    );
}

#[test]
fn whatever_is_wrong_there_is_something_to_do() {
    for text in [
        "kind: Site\nname: a\n\tnode: b\n",
        "kind: Site\nname: *nobody\n",
        "kind: Site\nname: a\ntitle: &a [*a]\n",
        "kind: Site\nname: {{ a }}\n",
        "kind: Site\nname: \"a\n",
        "kind: Site\nname: a: b\n",
        "kind: Site\nname: !x a\n",
        "kind: Site\nname: a\nimport: {archive: /a, sha256: x, token: \"\"}\n",
        "kind: Fleet\nversion: \"1\"\nrollout: {canary: one, max_failures: 1.5}\n",
        "kind: Fleet\nversion: one\nname: a\ndefaults: []\nhooks: 1\n",
        "kind: Node\nname: a\nhost: b.example\nsuspend: perhaps\nlabels: 1\n",
        "kind: Environment\nsite: a\nname: b\n",
    ] {
        let file = parse_file("a.yaml", text);
        assert!(!file.diagnostics.is_empty(), "{text}");
        for diagnostic in file.diagnostics {
            assert!(diagnostic.hint.is_some(), "{text}\n{diagnostic:?}");
        }
    }
}

#[test]
fn a_tab_that_indents_is_pointed_at() {
    assert_eq!(
        told("kind: Site\nname: tabs\n\tnode: web-1\n"),
        "3:1+1 yaml-syntax: the line is indented with a tab [indent with spaces, not with tabs]\n"
    );
}

#[test]
fn a_tag_before_a_document_is_pointed_at() {
    assert_eq!(
        told("--- !!python/object/new:os.system\nkind: Site\n"),
        "1:5+29 yaml-tag: tags are not supported [remove the word that begins with `!`]\n"
    );
}

#[test]
fn a_wrong_field_that_all_need_does_not_hide_what_else_is_wrong() {
    let file = parse_file(
        "a.yaml",
        "kind: Fleet\nversion: 2\nname: A B\n---\nkind: Node\nname: web-1\nhost: -x\n",
    );
    let [fleet, node] = &*file.salvaged else {
        panic!("{file:?}");
    };
    assert!(fleet.lost.field("name") && fleet.lost.field("version"));
    assert!(node.lost.field("host") && !node.lost.field("name"));
    assert_eq!(file.broken, []);
}
