//! `db check`, `db backup`, `db restore` and `resume` from the outside.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use serde_json::Value;

use super::Program;

/// A state directory with a queue, and the fleet repo that it is of.
fn queued() -> (Program, String) {
    let program = Program::new();
    let repo = program.repo("quickstart").display().to_string();
    program
        .run(&["apply", "--no-wait", "--auto-approve", &repo])
        .expect(0);
    (program, repo)
}

fn json(text: &str) -> Value {
    serde_json::from_str(text).expect("JSON")
}

fn count(program: &Program, status: &str) -> usize {
    let ran = program
        .run(&["jobs", "list", "-o", "json", "--status", status])
        .expect(0);
    json(&ran.stdout).as_array().expect("an array").len()
}

/// The files of a directory that others may read or write.
fn open_to_others(directory: &Path) -> Vec<String> {
    let entries = fs::read_dir(directory).expect("a directory");
    entries
        .map(|entry| entry.expect("an entry"))
        .filter(|entry| {
            let metadata = entry.metadata().expect("there");
            metadata.is_file() && metadata.permissions().mode() & 0o077 != 0
        })
        .map(|entry| entry.file_name().display().to_string())
        .collect()
}

#[test]
fn a_database_that_others_may_read_is_told_and_closed() {
    let (program, repo) = queued();
    let database = program.state().join("pressluft.db");
    fs::set_permissions(&database, Permissions::from_mode(0o644)).expect("own file");
    let told = program.run(&["doctor"]).stdout;
    assert!(told.contains("others may read or write"), "{told}");
    let ran = program.run(&["apply", "--no-wait", "--auto-approve", &repo]);
    ran.expect(0);
    assert_eq!(open_to_others(&program.state()), Vec::<String>::new());
    let told = program.run(&["doctor"]).stdout;
    assert!(told.contains("nobody else may read them"), "{told}");
}

#[test]
fn a_check_says_what_it_looked_at_and_what_is_wrong() {
    let program = Program::new();
    let ran = program.run(&["db", "check"]).expect(1);
    assert!(
        ran.stderr.contains("nothing is recorded yet"),
        "{}",
        ran.stderr
    );

    let (program, _) = queued();
    let text = program.run(&["db", "check"]).expect(0).stdout;
    for part in ["database", "file", "references", "audit", "record"] {
        assert!(text.contains(part), "{text}");
    }
    let report = json(&program.run(&["db", "check", "--json"]).expect(0).stdout);
    assert_eq!(report["ok"], true);
    assert_eq!(report["problems"], serde_json::json!([]));
    let head = program.run(&["audit", "verify", "-o", "json"]).expect(0);
    assert_eq!(report["audit"]["head"], json(&head.stdout)["head"]);

    program.run(&["db", "backup", "copy.db"]).expect(0);
    let copy = program.dir.path().join("copy.db");
    let mut bytes = fs::read(&copy).expect("read");
    let last = bytes.len() - 4096;
    bytes[last..].fill(0xa5);
    fs::write(&copy, bytes).expect("written");
    let ran = program.run(&["db", "check", "copy.db"]).expect(1);
    assert!(ran.stdout.contains("FAIL"), "{}", ran.stdout);
    assert!(
        ran.stderr.contains("pressluft db restore"),
        "{}",
        ran.stderr
    );
    let ran = program
        .run(&["db", "check", "-o", "json", "copy.db"])
        .expect(1);
    assert_eq!(json(&ran.stdout)["ok"], false);
}

#[test]
fn a_backup_says_what_it_has_and_what_it_has_not() {
    let (program, _) = queued();
    let ran = program.run(&["db", "backup", "copy.db"]).expect(0);
    let head = program.run(&["audit", "verify"]).expect(0).stdout;
    let head = head.lines().last().expect("a line");
    assert!(
        ran.stdout.contains(&format!("audit {head}")),
        "{}",
        ran.stdout
    );
    assert!(ran.stderr.contains("age identity"), "{}", ran.stderr);
    let mode = fs::metadata(program.dir.path().join("copy.db")).expect("there");
    assert_eq!(mode.permissions().mode() & 0o777, 0o600);
    let ran = program.run(&["db", "backup", "copy.db"]).expect(1);
    assert!(ran.stderr.contains("--force"), "{}", ran.stderr);
    let ran = program
        .run(&["db", "backup", "--force", "-o", "json", "copy.db"])
        .expect(0);
    assert!(
        json(&ran.stdout)["bytes"]
            .as_u64()
            .is_some_and(|bytes| bytes > 4096)
    );
    program.run(&["db", "check", "copy.db"]).expect(0);
}

#[test]
fn a_restored_database_runs_nothing_until_it_is_resumed() {
    let (program, repo) = queued();
    program.run(&["db", "backup", "copy.db"]).expect(0);
    // What the lost hours did.
    let more = program.dir.path().join("quickstart/more.yaml");
    fs::write(more, "kind: Node\nname: web-2\nhost: 203.0.113.11\n").expect("written");
    program
        .run(&["apply", "--no-wait", "--auto-approve", &repo])
        .expect(0);
    assert_eq!(count(&program, "queued"), 6);

    let database = program.state().join("pressluft.db");
    fs::set_permissions(&database, Permissions::from_mode(0o644)).expect("set");
    let ran = program.run(&["db", "restore", "copy.db"]).expect(0);
    for part in [
        "pressluft resume",
        "pressluft plan",
        ".replaced-",
        "5 are queued",
    ] {
        assert!(ran.stdout.contains(part), "{}", ran.stdout);
    }
    assert_eq!(
        (count(&program, "queued"), count(&program, "cancelled")),
        (5, 0)
    );
    program.run(&["plan", &repo]).expect(0);
    program.run(&["get", "nodes"]).expect(0);
    program.run(&["audit", "verify"]).expect(0);
    assert_eq!(open_to_others(&program.state()), Vec::<String>::new());
    let text = program.run(&["db", "check"]).expect(0).stdout;
    assert!(text.contains("paused"), "{text}");
    for more in [&["--no-wait"][..], &[]] {
        let words = [&["apply", "--auto-approve", repo.as_str()][..], more].concat();
        let ran = program.run(&words).expect(4);
        assert!(ran.stderr.contains("pressluft resume"), "{}", ran.stderr);
        assert!(ran.stderr.contains("copy.db"), "{}", ran.stderr);
    }
    assert_eq!(count(&program, "queued"), 5);

    let ran = program.run(&["resume"]).expect(0);
    assert!(ran.stdout.contains("jobs run again"), "{}", ran.stdout);
    let ran = program.run(&["resume"]).expect(0);
    assert!(ran.stdout.contains("nothing is paused"), "{}", ran.stdout);
    program
        .run(&["apply", "--no-wait", "--auto-approve", &repo])
        .expect(0);
    let actions = program
        .run(&["audit", "list", "-o", "json"])
        .expect(0)
        .stdout;
    for action in ["database_restored", "database_resumed"] {
        assert!(actions.contains(action), "{actions}");
    }
    program.run(&["audit", "verify"]).expect(0);
    program.run(&["db", "restore", "no.db"]).expect(1);
    program.run(&["db", "restore"]).expect(64);
}

#[test]
fn the_past_is_cleared_up_on_request_and_by_the_settings() {
    let (program, _) = queued();
    let ran = program.run(&["db", "prune"]).expect(0);
    assert!(ran.stdout.contains("nothing is beyond"), "{}", ran.stdout);
    let ran = program.run(&["db", "prune", "-o", "json"]).expect(0);
    let cleared = json(&ran.stdout);
    assert_eq!(cleared["is_complete"], true);
    assert_eq!(cleared["removed"]["jobs"], 0);
    // What is queued is not the past.
    assert!(count(&program, "queued") > 0);
    let told = program.run(&["doctor"]).stdout;
    assert!(
        told.contains("history") && told.contains("audit entries"),
        "{told}"
    );
    let settings = program.state().join("pressluft.toml");
    fs::write(&settings, "[history.audit]\nage = \"1h\"\ncount = 100\n").expect("written");
    program.run(&["db", "prune"]).expect(0);
    for (wrong, why) in [
        ("age = \"59m\"", "keeps too little"),
        ("count = 99", "keeps too little"),
        ("for = \"30d\"", "unknown field"),
    ] {
        fs::write(&settings, format!("[history.jobs]\n{wrong}\n")).expect("written");
        let ran = program.run(&["db", "prune"]).expect(64);
        assert!(ran.stderr.contains(why), "{wrong}: {}", ran.stderr);
    }
}
