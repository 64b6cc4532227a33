//! The settings that the program knows, those of the reference that is installed, and those of
//! `docs/operate.md` are the same.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use super::Program;

fn text(file: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(file)).expect("it is there")
}

/// The reference with every setting in it switched on.
fn reference() -> String {
    text("packaging/pressluft.toml")
        .lines()
        .filter_map(|line| line.strip_prefix("# "))
        .filter(|line| line.starts_with('[') || line.contains(" = "))
        .map(|line| format!("{line}\n"))
        .collect()
}

/// The settings of a text in TOML by their full names.
fn names(toml: &str) -> BTreeSet<String> {
    let mut section = String::new();
    let mut names = BTreeSet::new();
    for line in toml.lines() {
        if let Some(name) = line.strip_prefix('[') {
            section = format!("{}.", name.trim_end_matches(']'));
        } else if let Some((name, _)) = line.split_once(" = ") {
            names.insert(format!("{section}{name}"));
        }
    }
    names
}

/// What the program says to settings: its exit code and its message.
fn say(program: &Program, settings: &str) -> (i32, String) {
    fs::create_dir_all(program.state()).expect("made");
    fs::write(program.state().join("pressluft.toml"), settings).expect("written");
    // It needs nothing but the settings.
    let ran = program.run(&["completions", "fish"]);
    (ran.code, ran.stderr)
}

/// What the program would have taken in the place of a name that it does not know.
fn known(program: &Program, settings: &str) -> BTreeSet<String> {
    let (code, message) = say(program, settings);
    assert_eq!(code, 64, "{message}");
    let (_, list) = message.split_once("expected").expect("it lists them");
    let names = list.split('`').skip(1).step_by(2);
    names.map(str::to_owned).collect()
}

#[test]
fn the_reference_has_every_setting_and_no_other() {
    let program = Program::new();
    let reference = reference();
    assert_eq!(say(&program, &reference), (0, String::new()));

    let of_reference = names(&reference);
    let sections = |section: &str| -> BTreeSet<String> {
        of_reference
            .iter()
            .filter_map(|name| name.strip_prefix(section))
            .map(|name| name.split('.').next().unwrap_or(name).to_owned())
            .collect()
    };
    // `timeouts` takes any job type.
    let expected = known(&program, "bogus = 1\n");
    assert_eq!(sections(""), expected);
    let git: BTreeSet<String> = known(&program, "[git]\nbogus = 1\n");
    // Either `repo` or `path`; the reference says so in words.
    let but_path: BTreeSet<String> = git.into_iter().filter(|name| name != "path").collect();
    assert_eq!(sections("git."), but_path);
    assert_eq!(
        sections("git.status."),
        known(&program, "[git.status]\nbogus = 1\n")
    );
}

#[test]
fn the_table_has_the_settings_of_the_reference() {
    let mut rows = BTreeSet::new();
    let operate = text("docs/operate.md");
    let (_, table) = operate.split_once("## Settings").expect("the section");
    let (table, _) = table.split_once("## What to watch").expect("the next");
    for line in table.lines().filter(|line| line.starts_with("| `")) {
        let first = line.split('|').nth(1).unwrap_or_default();
        rows.extend(first.split('`').skip(1).step_by(2).map(str::to_owned));
    }
    let mut of_reference = names(&reference());
    of_reference.insert("git.path".to_owned());
    of_reference.remove("timeouts.node_provision");
    of_reference.insert("timeouts.JOB_TYPE".to_owned());
    of_reference.remove("webhooks.github");
    of_reference.insert("webhooks.NAME".to_owned());
    assert_eq!(rows, of_reference);
}
