//! `pressluft user`: passwords from standard input, tokens that are shown once.

use std::io::Write;
use std::process::{Command, Stdio};

use serde_json::Value;

use super::{Program, Ran};

const PASSWORD: &str = "correct horse battery staple";

/// Runs a command that reads `input`.
fn run(program: &Program, words: &[&str], input: &str) -> Ran {
    let mut child = Command::new(env!("CARGO_BIN_EXE_pressluft"))
        .args(words)
        .env_clear()
        .env("HOME", program.dir.path())
        .env("PRESSLUFT_STATE_DIR", program.state())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("pressluft runs");
    let mut stdin = child.stdin.take().expect("its input");
    // A command that refuses its arguments reads nothing.
    drop(stdin.write_all(input.as_bytes()));
    drop(stdin);
    let output = child.wait_with_output().expect("it ends");
    Ran {
        code: output.status.code().unwrap_or(-1),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

fn listed(program: &Program) -> Value {
    let ran = program.run(&["user", "list", "-o", "json"]).expect(0);
    serde_json::from_str(&ran.stdout).expect("JSON")
}

#[test]
fn users_come_and_go() {
    let program = Program::new();
    assert_eq!(listed(&program)["users"], serde_json::json!([]));
    let refused = run(&program, &["user", "add", "anna"], "short\n").expect(1);
    assert!(refused.stderr.contains("at least 12"), "{}", refused.stderr);
    run(&program, &["user", "add", "anna"], &format!("{PASSWORD}\n")).expect(0);
    let again = run(&program, &["user", "add", "anna"], PASSWORD).expect(1);
    assert!(again.stderr.contains("`anna` already"), "{}", again.stderr);
    run(&program, &["user", "add", "an na"], PASSWORD).expect(64);
    assert_eq!(listed(&program)["users"][0]["name"], "anna");
    run(
        &program,
        &["user", "passwd", "anna"],
        "another long password",
    )
    .expect(0);
    program.run(&["user", "logout", "anna"]).expect(0);
    let unknown = program.run(&["user", "remove", "nobody"]).expect(1);
    assert!(unknown.stderr.contains("`nobody`"), "{}", unknown.stderr);
    program.run(&["user", "remove", "anna"]).expect(0);
    assert_eq!(listed(&program)["users"], serde_json::json!([]));
    let audit = program
        .run(&["audit", "list", "-o", "json"])
        .expect(0)
        .stdout;
    for action in [
        "user_added",
        "password_set",
        "sessions_revoked",
        "user_removed",
    ] {
        assert!(audit.contains(action), "{action}: {audit}");
    }
    program.run(&["audit", "verify"]).expect(0);
}

#[test]
fn a_token_is_shown_once_and_kept_by_nobody() {
    let program = Program::new();
    let made = program
        .run(&["user", "token", "prometheus", "--expires", "90d"])
        .expect(0);
    let token = made.stdout.trim();
    assert!(token.starts_with("plt_") && token.len() == 47, "{token}");
    let tokens = listed(&program)["tokens"].clone();
    assert_eq!(tokens[0]["name"], "prometheus");
    assert!(tokens[0]["expires_at"].is_string() && tokens[0]["last_used_at"].is_null());
    program.run(&["user", "token", "prometheus"]).expect(1);
    for entry in std::fs::read_dir(program.state()).expect("the state") {
        let path = entry.expect("a file").path();
        if path.is_file() {
            let bytes = std::fs::read(&path).expect("read");
            let found = bytes
                .windows(token.len())
                .any(|part| part == token.as_bytes());
            assert!(!found, "{} has the token", path.display());
        }
    }
    program
        .run(&["user", "token", "prometheus", "--revoke"])
        .expect(0);
    assert_eq!(listed(&program)["tokens"], serde_json::json!([]));
}
