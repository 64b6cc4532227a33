//! Files that were made to do harm: a clear error, soon, and with little memory.

use std::fmt::Write as _;
use std::time::Duration;

use pressluft::core::document::parse_bytes;

/// How long this thread has run, whatever else the machine does.
fn processor_time() -> Duration {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").expect("a Linux kernel");
    let nanoseconds = text.split(' ').next().and_then(|word| word.parse().ok());
    Duration::from_nanos(nanoseconds.expect("it begins with a number"))
}

/// The codes that a file is refused with, in the order of their places.
fn codes(bytes: &[u8]) -> Vec<&'static str> {
    let start = processor_time();
    let parsed = parse_bytes("a.yaml", bytes);
    // Generous, since this is not optimised; none of these may take time of another order.
    let took = processor_time().saturating_sub(start);
    assert!(took < Duration::from_secs(10), "it took {took:?}");
    assert_eq!(parsed.documents, [], "nothing of it is taken");
    parsed
        .diagnostics
        .iter()
        .map(|diagnostic| diagnostic.code)
        .collect()
}

fn node(rest: &str) -> Vec<&'static str> {
    codes(format!("kind: Node\nname: web-1\nhost: 203.0.113.10\n{rest}").as_bytes())
}

#[test]
fn billion_laughs_are_stopped() {
    let mut text = "kind: Node\na0: &a0 [x, x, x, x, x, x, x, x, x]\n".to_owned();
    for level in 1..12 {
        let before = vec![format!("*a{}", level - 1); 9].join(", ");
        writeln!(text, "a{level}: &a{level} [{before}]").expect("a string takes everything");
    }
    assert_eq!(codes(text.as_bytes()), ["yaml-limit"]);
}

#[test]
fn quadratic_aliases_and_merges_are_stopped() {
    let long = "x".repeat(20_000);
    let aliases = vec!["*a"; 900].join(", ");
    assert_eq!(
        node(&format!("a: &a {long}\nb: [{aliases}]\n")),
        ["yaml-limit"]
    );
    let merges = vec!["{<<: *b}"; 900].join(", ");
    let keys: String = (0..500).map(|n| format!("k{n}: x, ")).collect();
    assert_eq!(
        node(&format!("b: &b {{{keys}}}\nc: [{merges}]\n")),
        ["yaml-limit"]
    );
}

#[test]
fn self_references_and_unknown_anchors_are_errors() {
    assert_eq!(node("a: &a [*a]\n"), ["yaml-syntax"]);
    assert_eq!(node("a: *nothing\n"), ["yaml-syntax"]);
}

#[test]
fn depth_is_limited() {
    assert_eq!(
        node(&format!("a: {}\n", "[".repeat(100_000))),
        ["yaml-limit"]
    );
    assert_eq!(
        node(&format!("a: {}{}\n", "[".repeat(40), "]".repeat(40))),
        ["yaml-limit"]
    );
}

#[test]
fn large_files_scalars_and_keys_are_refused_before_they_are_read() {
    assert_eq!(codes(&vec![b'a'; 100 * 1024 * 1024]), ["file-too-large"]);
    assert_eq!(
        codes(format!("{}: 1\n", "k".repeat(2_000_000)).as_bytes()),
        ["file-too-large"]
    );
    let just_below = format!("{}: 1\n", "k".repeat(900_000));
    assert_eq!(node(&just_below).len(), 1);
}

#[test]
fn tags_are_refused_where_they_stand() {
    for tag in [
        "!include /etc/passwd",
        "!!python/object/apply:os.system [id]",
        "!Ref x",
    ] {
        let text = format!("kind: Node\nname: web-1\nhost: {tag}\n");
        let parsed = parse_bytes("a.yaml", text.as_bytes());
        let places: Vec<_> = parsed
            .diagnostics
            .iter()
            .map(|d| (d.line, d.column, d.code))
            .collect();
        assert_eq!(places, [(3, 7, "yaml-tag")], "{tag}");
    }
}

#[test]
fn text_that_hides_something_is_refused() {
    assert_eq!(node("labels: {a: \"x\u{202E}y\"}\n"), ["hidden-character"]);
    assert_eq!(node("# comment \u{2066}\n"), ["hidden-character"]);
    assert_eq!(node("labels: {a: \"x\\u202Ey\"}\n"), ["invalid-value"]);
    assert_eq!(node("labels: {a: \"x\\ny\"}\n"), ["invalid-value"]);
    assert_eq!(codes(b"kind: Node\0\n"), ["hidden-character"]);
    // What ends a line for a reader of YAML, and for no editor and no difference between two files.
    for end in [
        "\r", "\r\r\n", "\u{85}", "\u{2028}", "\u{2029}", "\u{B}", "\u{C}",
    ] {
        let text = format!("# renewed by the team{end}labels: {{a: b}}\n");
        assert_eq!(node(&text), ["hidden-character"], "{end:?}");
    }
    assert_eq!(
        codes(b"kind: Node\nname: web-1\nhost: a.example\r"),
        ["hidden-character"]
    );
    let parsed = parse_bytes(
        "a.yaml",
        b"# all of it\r\nkind: Node\r\nname: web-1\r\nhost: a.example\r\n",
    );
    assert_eq!((parsed.documents.len(), parsed.diagnostics), (1, vec![]));
    for filler in ['\u{115F}', '\u{3164}', '\u{FFA0}', '\u{E0041}'] {
        assert_eq!(
            node(&format!("labels: {{a: \"x{filler}\"}}\n")),
            ["hidden-character"],
            "{filler:?}"
        );
    }
    assert_eq!(node("labels: {a: \"\u{1b}[31m\"}\n"), ["hidden-character"]);
}

#[test]
fn other_encodings_are_named() {
    assert_eq!(codes(b"\xff\xfek\0i\0n\0d\0"), ["not-utf8"]);
    assert_eq!(codes(b"kind: \xe9\n"), ["not-utf8"]);
}

#[test]
fn a_byte_order_mark_and_windows_line_ends_are_no_problem() {
    let text = "\u{FEFF}kind: Node\r\nname: web-1\r\nhost: 203.0.113.10\r\n";
    let parsed = parse_bytes("a.yaml", text.as_bytes());
    assert_eq!((parsed.documents.len(), parsed.diagnostics.len()), (1, 0));
}

#[test]
fn keys_that_occur_twice_are_refused() {
    assert_eq!(node("name: web-2\n"), ["duplicate-field"]);
    assert_eq!(node("ssh: {port: 22, port: 23}\n"), ["duplicate-field"]);
    assert_eq!(node("labels: {a: x, a: y}\n"), ["duplicate-field"]);
}

#[test]
fn tabs_are_explained() {
    let parsed = parse_bytes("a.yaml", b"kind: Node\n\tname: web-1\n");
    assert_eq!(parsed.diagnostics.len(), 1);
}

#[test]
fn many_documents_and_many_problems_end() {
    let text = "kind: Nod\n---\n".repeat(50_000);
    assert_eq!(codes(text.as_bytes()).len(), 200);
    assert_eq!(codes("---\n".repeat(200_000).as_bytes()).len(), 0);
    let keys: String = (0..50_000).map(|n| format!("k{n}: x\n")).collect();
    assert_eq!(codes(format!("kind: Node\n{keys}").as_bytes()).len(), 200);
}

#[test]
fn empty_files_hold_nothing() {
    for text in [
        "",
        "\n\n",
        "# only words\n",
        "---\n---\n...\n",
        "%YAML 1.2\n---\n",
    ] {
        assert_eq!(codes(text.as_bytes()), Vec::<&str>::new(), "{text:?}");
    }
}

#[test]
fn what_looks_like_code_is_text() {
    let evil = "{{ lookup('pipe','touch /tmp/pwned') }} {% raw %} $(id) `id` ; 'x' \\";
    let text = format!(
        "kind: Site\nname: acme\ntitle: {}\nnode: web-1\nadmin: {{email: a@acme.example}}\n",
        serde_json::json!(evil)
    );
    let parsed = parse_bytes("a.yaml", text.as_bytes());
    assert_eq!(parsed.diagnostics, []);
    let spec = serde_json::to_string(match &parsed.documents[0].document {
        pressluft::core::document::Document::Site(site) => site,
        other => panic!("{other:?} is no site"),
    });
    let value: serde_json::Value =
        serde_json::from_str(&spec.expect("it serialises")).expect("it is JSON");
    assert_eq!(value["title"], evil);
}

#[test]
fn scalars_keep_the_text_that_was_written() {
    let text = "kind: Site\nname: acme\ntitle: no\nwordpress: {version: 6.80}\n";
    let parsed = parse_bytes("a.yaml", text.as_bytes());
    assert_eq!(parsed.diagnostics, []);
    let pressluft::core::document::Document::Site(site) = &parsed.documents[0].document else {
        panic!("it is a site");
    };
    assert_eq!(site.title.as_ref().map(AsRef::as_ref), Some("no"));
    assert_eq!(
        site.wordpress.version.as_ref().map(AsRef::as_ref),
        Some("6.80")
    );
}

#[test]
fn names_that_could_be_taken_for_something_else_are_refused() {
    for name in [
        "-oProxyCommand=id",
        "--",
        "../x",
        "a/b",
        "a b",
        "a;b",
        "$(id)",
        "ｗeb",
    ] {
        let text = format!("kind: Node\nname: {name:?}\nhost: {name:?}\n");
        assert_eq!(
            codes(text.as_bytes()),
            ["invalid-value", "invalid-value"],
            "{name}"
        );
    }
    let long = "a".repeat(300);
    assert_eq!(
        codes(format!("kind: Node\nname: {long}\nhost: x\n").as_bytes()),
        ["invalid-value"]
    );
}
