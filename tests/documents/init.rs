//! `pressluft init` makes a fleet repo that validates and overwrites nothing.

use std::path::Path;
use std::process::Output;

fn pressluft(arguments: &[&str], state: &Path) -> Output {
    pressluft::process::command(env!("CARGO_BIN_EXE_pressluft"))
        .args(arguments)
        .env("PRESSLUFT_STATE_DIR", state)
        .output()
        .expect("the program runs")
}

#[test]
fn a_new_fleet_repo_is_valid_and_wired_for_editors() {
    let place = tempfile::tempdir().expect("a directory can be made");
    let fleet = place.path().join("Studio North");
    let path = fleet.to_str().expect("the path is text");
    let made = pressluft(&["init", path], place.path());
    assert_eq!(made.status.code(), Some(0), "{made:?}");
    let said = String::from_utf8_lossy(&made.stdout);
    assert!(
        said.contains("Next") && said.contains("pressluft plan"),
        "{said}"
    );

    let checked = pressluft(&["validate", path, "--json"], place.path());
    assert_eq!(checked.status.code(), Some(0), "{checked:?}");
    assert_eq!(
        String::from_utf8_lossy(&checked.stdout).lines().last(),
        Some(r#"{"documents":5,"errors":0,"type":"summary","warnings":0}"#)
    );
    let root = std::fs::read_to_string(fleet.join("pressluft.yaml")).expect("it is there");
    assert!(root.contains("name: studio-north"), "{root}");
    let settings =
        std::fs::read_to_string(fleet.join(".vscode/settings.json")).expect("it is there");
    let settings: serde_json::Value = serde_json::from_str(&settings).expect("it is JSON");
    let schemas = settings["yaml.schemas"]
        .as_object()
        .expect("schemas are named");
    for schema in schemas.keys() {
        let text = std::fs::read_to_string(fleet.join(schema)).expect("the schema is there");
        serde_json::from_str::<serde_json::Value>(&text).expect("it is JSON");
    }
    // Every document says to other editors where its schema is.
    for file in ["pressluft.yaml", "nodes/web-1.yaml", "sites/example.yaml"] {
        let text = std::fs::read_to_string(fleet.join(file)).expect("it is there");
        let line = text.lines().next().unwrap_or_default();
        let (_, schema) = line
            .split_once("$schema=")
            .expect("the first line names the schema");
        let beside = fleet
            .join(file)
            .parent()
            .expect("it has a directory")
            .join(schema);
        assert!(beside.is_file(), "{file}: {schema}");
    }
}

#[test]
fn nothing_is_overwritten() {
    let place = tempfile::tempdir().expect("a directory can be made");
    std::fs::write(place.path().join("mine.txt"), "mine").expect("a file can be written");
    let path = place.path().to_str().expect("the path is text");
    let refused = pressluft(&["init", path], &place.path().join("state"));
    assert_eq!(refused.status.code(), Some(1), "{refused:?}");
    let said = String::from_utf8_lossy(&refused.stderr);
    assert!(
        said.contains("is not empty") && said.contains("hint:"),
        "{said}"
    );
    assert_eq!(
        std::fs::read_dir(place.path())
            .expect("it can be read")
            .count(),
        1
    );
}

#[test]
fn a_name_that_is_none_is_a_usage_error() {
    let place = tempfile::tempdir().expect("a directory can be made");
    let path = place.path().join("new");
    let path = path.to_str().expect("the path is text");
    let refused = pressluft(&["init", path, "--name", "No Name!"], place.path());
    assert_eq!(refused.status.code(), Some(64), "{refused:?}");
}

#[test]
fn the_program_prints_the_schemas_of_the_repository() {
    let place = tempfile::tempdir().expect("a directory can be made");
    for (argument, file) in [("site", "site"), ("Environment", "environment")] {
        let printed = pressluft(&["schema", argument], place.path());
        let path = crate::repository::path(&format!("schemas/{file}.schema.json"));
        let kept = std::fs::read(path).expect("the schema is there");
        assert_eq!(printed.stdout, kept, "{argument}");
    }
}
