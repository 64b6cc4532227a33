//! Texts that another system wrote: with a byte order mark in front, and carriage returns at the ends of lines.

use std::fs;
use std::path::Path;

use super::Program;

/// As an editor of another system writes it.
fn foreign(text: &str) -> String {
    format!("\u{FEFF}{}", text.replace('\n', "\r\n"))
}

fn rewrite(path: &Path) {
    let text = fs::read_to_string(path).expect("it is there");
    fs::write(path, foreign(&text)).expect("written");
}

#[test]
fn settings_and_documents_mean_the_same() {
    let program = Program::new();
    let repo = program.repo("quickstart");
    let path = repo.display().to_string();
    let before = program.run(&["validate", "--json", &path]).expect(0);
    for file in ["pressluft.yaml", "nodes/web-1.yaml", "sites/bakery.yaml"] {
        rewrite(&repo.join(file));
    }
    fs::write(repo.join("scratch.yaml"), "kind: Nonsense\n").expect("written");
    fs::write(repo.join(".pressluftignore"), foreign("scratch.yaml\n")).expect("written");
    fs::create_dir_all(program.state()).expect("made");
    let settings = program.state().join("pressluft.toml");
    fs::write(&settings, foreign("parallel = 3\nplain_http = true\n")).expect("written");
    let after = program.run(&["validate", "--json", &path]).expect(0);
    assert_eq!(before.stdout, after.stdout);
    // And what is wrong in them is told in words of ours.
    for wrong in ["parallel = 0\n", "parallel = -1\n", "parallel = \"many\"\n"] {
        fs::write(&settings, foreign(wrong)).expect("written");
        let ran = program.run(&["validate", &path]).expect(64);
        let said = "a whole number from 1 to 1000";
        assert!(ran.stderr.contains(said), "{wrong}: {}", ran.stderr);
        assert!(!ran.stderr.contains("u16"), "{wrong}: {}", ran.stderr);
    }
    fs::write(&settings, "[history.jobs]\ncount = -1\n").expect("written");
    let ran = program.run(&["validate", &path]).expect(64);
    assert!(
        ran.stderr.contains("a whole number from 0 to"),
        "{}",
        ran.stderr
    );
}

#[test]
fn a_template_leaves_no_mark_on_a_node() {
    let program = Program::new();
    let repo = program.repo("quickstart");
    fs::create_dir_all(repo.join("templates/php")).expect("made");
    let template = "; ours\nmemory_limit = 1M\n";
    fs::write(
        repo.join("templates/php/environment.ini"),
        foreign(template),
    )
    .expect("written");
    let path = repo.display().to_string();
    let plan = program.run(&["plan", "--show-files", &path]).expect(0);
    assert!(plan.stdout.contains("+; ours\n"), "{}", plan.stdout);
    let is_foreign = |c: char| matches!(c, '\r' | '\u{FEFF}' | '\u{FFFD}');
    assert!(!plan.stdout.contains(is_foreign), "{}", plan.stdout);
}

#[test]
fn secrets_and_keys_are_what_was_meant() {
    let program = Program::new();
    program.run(&["secret", "keygen"]).expect(0);
    let secrets = program.state().join("secrets");
    let set = |name: &str, content: &str| {
        let file = program.dir.path().join("value");
        fs::write(&file, content).expect("written");
        let file = file.display().to_string();
        program
            .run(&["secret", "set", name, "--from-file", &file])
            .expect(0);
    };
    set("token", "\u{FEFF}abc\r\n");
    set("lines", "\u{FEFF}one\r\ntwo\r\n");
    let get = |name: &str| program.run(&["secret", "get", name]).expect(0).stdout;
    assert_eq!(get("token").trim_end_matches('\n'), "abc");
    assert_eq!(get("lines").trim_end_matches('\n'), "one\r\ntwo\r");
    // The identity itself, as somebody copied it.
    rewrite(&secrets.join("identity.age"));
    assert_eq!(get("token").trim_end_matches('\n'), "abc");
}

#[test]
fn a_variable_with_the_line_end_of_another_system_is_named() {
    let program = Program::new();
    let state = format!("{}\r", program.state().display());
    let ran = program
        .run(&["--state-dir", &state, "get", "nodes"])
        .expect(64);
    assert!(ran.stderr.contains("U+000D"), "{}", ran.stderr);
    assert!(ran.stderr.contains("PRESSLUFT_STATE_DIR"), "{}", ran.stderr);
}
