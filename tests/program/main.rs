//! The program from the outside, without hosts: what it prints and how it ends.
#![expect(
    clippy::disallowed_methods,
    clippy::expect_used,
    reason = "tests start programs and read the environment, and what fails is the test"
)]

mod db;
mod docs;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;

mod foreign;
mod ownership;
mod queue;
mod secrets;
mod settings;
mod sources;
mod templates;
mod times;
mod user;

struct Program {
    dir: tempfile::TempDir,
}

struct Ran {
    code: i32,
    stdout: String,
    stderr: String,
}

impl Ran {
    #[track_caller]
    fn expect(self, code: i32) -> Self {
        assert_eq!(
            self.code, code,
            "\n-- stdout\n{}\n-- stderr\n{}",
            self.stdout, self.stderr
        );
        self
    }

    fn lines(&self) -> Vec<Value> {
        self.stdout
            .lines()
            .map(|line| serde_json::from_str(line).expect("JSON"))
            .collect()
    }
}

fn example(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("examples")
        .join(name)
}

impl Program {
    fn new() -> Self {
        Self {
            dir: tempfile::tempdir().expect("a directory"),
        }
    }

    fn state(&self) -> PathBuf {
        self.dir.path().join("state")
    }

    /// A copy of an example in a git repository of its own.
    fn repo(&self, name: &str) -> PathBuf {
        let repo = self.dir.path().join(name);
        let status = Command::new("cp")
            .arg("-r")
            .args([&example(name), &repo])
            .status()
            .expect("cp runs");
        assert!(status.success());
        for words in [
            &["init", "-q", "-b", "main"][..],
            &["add", "-A"],
            &[
                "-c",
                "user.name=ops",
                "-c",
                "user.email=ops@example.com",
                "commit",
                "-qm",
                "First",
            ],
        ] {
            let status = Command::new("git")
                .arg("-C")
                .arg(&repo)
                .args(words)
                .status()
                .expect("git runs");
            assert!(status.success());
        }
        repo
    }

    fn run(&self, words: &[&str]) -> Ran {
        let output = Command::new(env!("CARGO_BIN_EXE_pressluft"))
            .args(words)
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", self.dir.path())
            .env("PRESSLUFT_STATE_DIR", self.state())
            .current_dir(self.dir.path())
            .stdin(Stdio::null())
            .output()
            .expect("pressluft runs");
        Ran {
            code: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }
}

#[test]
fn the_quickstart_plans_in_order_and_leaves_nothing_behind() {
    let program = Program::new();
    let repo = program.repo("quickstart");
    let ran = program
        .run(&["plan", "--json", &repo.display().to_string()])
        .expect(0);
    let lines = ran.lines();
    assert_eq!(
        lines[0],
        serde_json::json!({"type": "version", "format": "1.0"})
    );
    assert_eq!(lines[1]["type"], "revision");
    assert_eq!(lines[1]["dirty"], false);
    let jobs: Vec<(&str, &str)> = lines
        .iter()
        .filter(|line| line["type"] == "planned_job")
        .map(|job| {
            (
                job["job_type"].as_str().unwrap_or(""),
                job["resource"].as_str().unwrap_or(""),
            )
        })
        .collect();
    assert_eq!(
        jobs,
        [
            ("node_provision", "node/web-1"),
            ("site_create", "site/bakery"),
            ("health_check", "env/bakery/production"),
            ("env_create", "env/bakery/staging"),
            ("health_check", "env/bakery/staging"),
        ]
    );
    let summary = lines.last().expect("a summary");
    assert_eq!(
        (&summary["type"], &summary["blocked"]),
        (&"summary".into(), &0.into())
    );
    assert!(!program.state().exists(), "looking made a state directory");
}

#[test]
fn the_same_commit_gives_the_same_bytes() {
    let program = Program::new();
    for name in ["quickstart", "agency"] {
        let repo = program.repo(name).display().to_string();
        for form in ["--json", "--markdown", "--show-files"] {
            let first = program.run(&["plan", form, &repo]).expect(0);
            assert_eq!(
                first.stdout,
                program.run(&["plan", form, &repo]).expect(0).stdout
            );
        }
    }
}

#[test]
fn a_working_tree_with_changes_says_so() {
    let program = Program::new();
    let repo = program.repo("quickstart");
    fs::write(
        repo.join("more.yaml"),
        "kind: Node\nname: web-2\nhost: 203.0.113.11\n",
    )
    .expect("a file");
    let path = repo.display().to_string();
    let lines = program.run(&["plan", "--json", &path]).expect(0).lines();
    assert_eq!(lines[1]["dirty"], true);
    let text = program.run(&["plan", &path]).expect(0).stdout;
    assert!(text.contains("not committed"), "{text}");
}

#[test]
fn pending_changes_have_an_exit_code_of_their_own() {
    let program = Program::new();
    let repo = program.repo("quickstart").display().to_string();
    program
        .run(&["plan", "--detailed-exitcode", &repo])
        .expect(2);
}

#[test]
fn what_is_only_recorded_needs_no_ansible() {
    let program = Program::new();
    let repo = program.repo("quickstart");
    for folder in ["nodes", "sites"] {
        fs::remove_dir_all(repo.join(folder)).expect("no resources");
    }
    let path = repo.display().to_string();
    let ran = program.run(&["apply", "--auto-approve", &path]).expect(0);
    assert!(ran.stdout.contains("1 resource recorded"), "{}", ran.stdout);
    let plan = ["plan", "--detailed-exitcode", &path];
    program.run(&plan).expect(0);
}

#[test]
fn what_is_about_a_whole_file_is_at_its_beginning() {
    let program = Program::new();
    let repo = program.repo("quickstart");
    fs::remove_file(repo.join("pressluft.yaml")).expect("no fleet");
    std::os::unix::fs::symlink("/etc", repo.join("away")).expect("a link");
    let path = repo.display().to_string();
    let lines = program
        .run(&["validate", "--json", &path])
        .expect(3)
        .lines();
    let mut found: Vec<_> = lines
        .iter()
        .filter(|line| line["type"] == "diagnostic")
        .map(|line| format!("{}:{} {}", line["line"], line["column"], line["code"]))
        .collect();
    found.sort();
    assert!(
        found.contains(&"1:1 \"missing-fleet\"".to_owned()),
        "{found:?}"
    );
    assert!(
        found.iter().all(|place| place.starts_with("1:1 ")),
        "{found:?}"
    );
}

#[test]
fn documents_that_are_not_valid_change_nothing() {
    let program = Program::new();
    let repo = program.repo("quickstart");
    fs::write(
        repo.join("wrong.yaml"),
        "kind: Node\nname: web-2\nhots: 203.0.113.11\n",
    )
    .expect("a file");
    let path = repo.display().to_string();
    let ran = program.run(&["validate", "--json", &path]).expect(3);
    let lines = ran.lines();
    let place = lines
        .iter()
        .find(|line| line["type"] == "diagnostic" && line["code"] == "unknown-field")
        .unwrap_or_else(|| panic!("{lines:?}"));
    assert_eq!(
        (&place["file"], &place["line"], &place["column"]),
        (&"wrong.yaml".into(), &3.into(), &1.into())
    );
    assert!(
        place["hint"]
            .as_str()
            .is_some_and(|hint| hint.contains("host")),
        "{place}"
    );
    program.run(&["apply", "--auto-approve", &path]).expect(3);
    program.run(&["plan", &path]).expect(3);
    program.run(&["get", "envs"]).expect(0);
    let jobs = program.run(&["jobs", "list", "-o", "json"]).expect(0);
    assert_eq!(jobs.stdout.trim(), "[]");
}

#[test]
fn a_question_needs_somebody_to_answer() {
    let program = Program::new();
    let repo = program.repo("quickstart").display().to_string();
    let ran = program.run(&["apply", &repo]).expect(64);
    assert!(ran.stderr.contains("--auto-approve"), "{}", ran.stderr);
    program.run(&["apply", "--json", &repo]).expect(64);
}

#[test]
fn a_target_that_does_not_exist_is_named_with_its_neighbour() {
    let program = Program::new();
    let repo = program.repo("quickstart").display().to_string();
    let ran = program
        .run(&["plan", "--target", "site/bakry", &repo])
        .expect(64);
    assert!(
        ran.stderr.contains("did you mean `site/bakery`?"),
        "{}",
        ran.stderr
    );
}

#[test]
fn a_saved_plan_is_queued_once_and_then_stale() {
    let program = Program::new();
    let repo = program.repo("quickstart").display().to_string();
    program
        .run(&["plan", "--out", "plan.json", &repo])
        .expect(0);
    let mode = fs::metadata(program.dir.path().join("plan.json"))
        .expect("a plan")
        .permissions();
    assert_eq!(
        std::os::unix::fs::PermissionsExt::mode(&mode) & 0o777,
        0o600
    );

    let ran = program.run(&["apply", "--no-wait", "plan.json"]).expect(0);
    assert!(
        ran.stdout.contains("5 jobs queued, 1 resource recorded"),
        "{}",
        ran.stdout
    );
    // The fleet was recorded, so the plan was made from another record.
    let ran = program.run(&["apply", "--no-wait", "plan.json"]).expect(5);
    assert!(ran.stderr.contains("plan again"), "{}", ran.stderr);

    // The same once more is there already; another one takes its place, and nothing is lost or
    // doubled.
    let counts = || {
        let jobs = program.run(&["jobs", "list", "-o", "json"]).expect(0);
        let jobs: Vec<Value> = serde_json::from_str(&jobs.stdout).expect("JSON");
        let count = |status: &str| jobs.iter().filter(|job| job["status"] == status).count();
        (count("queued"), count("cancelled"))
    };
    let ran = program
        .run(&["apply", "--no-wait", "--auto-approve", &repo])
        .expect(0);
    assert!(
        ran.stdout.contains("5 are queued or running already"),
        "{}",
        ran.stdout
    );
    assert_eq!(counts(), (5, 0));
    let node = Path::new(&repo).join("nodes/web-1.yaml");
    let nodes = fs::read_to_string(&node).expect("the nodes");
    fs::write(&node, nodes.replace("203.0.113.10", "203.0.113.66")).expect("a file");
    program
        .run(&["apply", "--no-wait", "--auto-approve", &repo])
        .expect(0);
    assert_eq!(counts(), (5, 5));
    program.run(&["audit", "verify"]).expect(0);
}

#[test]
fn a_queued_job_shows_the_changes_that_its_plan_had() {
    let program = Program::new();
    let repo = program.repo("quickstart").display().to_string();
    let changes = |line: &Value| {
        let of = [&line["job_type"], &line["resource"]].map(Value::to_string);
        (of, line["changes"].clone())
    };
    let planned = |ran: &Ran| -> BTreeMap<_, _> {
        let lines = ran.lines().into_iter();
        let jobs = lines.filter(|line| line["type"] == "planned_job");
        jobs.map(|line| changes(&line)).collect()
    };
    let queued = || -> BTreeMap<_, _> {
        let jobs = program.run(&["jobs", "list", "-o", "json"]).expect(0);
        let jobs: Vec<Value> = serde_json::from_str(&jobs.stdout).expect("JSON");
        let jobs = jobs.into_iter().filter(|job| job["status"] == "queued");
        jobs.map(|job| {
            let id = job["id"].as_str().expect("an id");
            let shown = program.run(&["jobs", "show", id, "-o", "json"]).expect(0);
            let shown: Value = serde_json::from_str(&shown.stdout).expect("JSON");
            let mut job = shown["job"].clone();
            job["changes"] = shown["changes"].clone();
            changes(&job)
        })
        .collect()
    };
    let plan = planned(&program.run(&["plan", "--json", &repo]).expect(0));
    assert!(
        plan.values()
            .any(|changes| changes.to_string().contains("null"))
    );
    program
        .run(&["apply", "--no-wait", "--auto-approve", &repo])
        .expect(0);
    assert_eq!(queued(), plan);
}

#[test]
fn an_edited_plan_is_refused() {
    let program = Program::new();
    let repo = program.repo("quickstart").display().to_string();
    program
        .run(&["plan", "--out", "plan.json", &repo])
        .expect(0);
    let path = program.dir.path().join("plan.json");
    let plan = fs::read(&path).expect("a plan");
    // The last line is a digest.
    let (lines, _) = plan.split_at(plan.len() - 65);
    let edited = [lines, "0".repeat(64).as_bytes(), b"\n"].concat();
    for (bytes, why) in [
        (edited, "changed after it was written"),
        (lines.to_vec(), "cannot be read"),
        (
            b"{\"format\": \"another\"}".to_vec(),
            "no saved plan of this version",
        ),
    ] {
        fs::write(&path, bytes).expect("a file");
        let ran = program.run(&["apply", "plan.json"]).expect(1);
        assert!(ran.stderr.contains(why), "{}", ran.stderr);
        assert!(ran.stderr.contains("plan --out"), "{}", ran.stderr);
    }
    assert!(
        !program.state().join("pressluft.db").exists() || {
            let jobs = program.run(&["jobs", "list", "-o", "json"]);
            jobs.stdout.trim() == "[]"
        }
    );
}

#[test]
fn what_is_not_recorded_says_so() {
    let program = Program::new();
    let ran = program.run(&["describe", "env/acme/production"]).expect(1);
    assert!(
        ran.stderr.contains("nothing is recorded yet"),
        "{}",
        ran.stderr
    );
    program.run(&["describe", "acme"]).expect(64);
    program.run(&["frobnicate"]).expect(64);
}

#[test]
fn a_state_directory_that_cannot_be_read_is_not_an_empty_record() {
    let program = Program::new();
    // Looking below a file fails for everybody, root included, unlike a directory without rights.
    fs::write(program.state(), "no directory").expect("a file");
    let settings = program.dir.path().join("elsewhere");
    let settings = settings.display().to_string();
    let database = program.state().join("pressluft.db").display().to_string();
    for words in [
        &["get", "envs"][..],
        &["jobs", "list"],
        &["audit", "list"],
        &["audit", "verify"],
        &["describe", "node/web-1"],
    ] {
        let elsewhere = ["--state-dir", &settings, "--db-path", &database];
        let ran = program.run(&[words, &elsewhere].concat()).expect(1);
        assert!(ran.stderr.contains(&database), "{words:?}: {}", ran.stderr);
        assert!(ran.stderr.contains("hint: "), "{words:?}: {}", ran.stderr);
        assert_eq!(ran.stdout, "", "{words:?}");
    }
}

#[test]
fn an_editor_needs_somebody_to_use_it() {
    let program = Program::new();
    let ran = program.run(&["secret", "edit", "acme/key"]).expect(64);
    assert!(ran.stderr.contains("secret set"), "{}", ran.stderr);
}

#[test]
fn completions_and_man_pages_are_written() {
    let program = Program::new();
    let ran = program.run(&["completions", "bash"]).expect(0);
    assert!(ran.stdout.contains("_pressluft"));
    program.run(&["man", "pages"]).expect(0);
    assert!(program.dir.path().join("pages/pressluft-plan.1").exists());
}

#[test]
fn no_error_drives_the_terminal() {
    let program = Program::new();
    let ran = program
        .run(&["validate", "\u{1b}[2J\u{202E}fleet"])
        .expect(1);
    assert!(ran.stderr.contains("fleet"), "{}", ran.stderr);
    let drives = |c: char| matches!(c, '\u{1b}' | '\u{202E}');
    assert!(!ran.stderr.contains(drives), "{:?}", ran.stderr);
}

#[test]
fn only_the_repository_that_is_named_is_asked() {
    let program = Program::new();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.set_nonblocking(true).expect("a socket");
    let other = format!("http://{}/", listener.local_addr().expect("bound"));
    for key in [&other, "https://elsewhere.example/", "file:///srv/"] {
        let settings = format!("[url \"{key}\"]\n\tinsteadOf = https://git.example/\n");
        fs::write(program.dir.path().join(".gitconfig"), settings).expect("written");
        let url = "https://me:topsecret@git.example/fleet.git";
        let ran = program.run(&["plan", "--repo", url]);
        assert_ne!(ran.code, 0);
        let told = ran.stderr.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(
            told.contains(&format!("to `{key}fleet.git`")) && told.contains("insteadOf"),
            "{told}"
        );
        assert!(!told.contains("topsecret"), "{told}");
    }
    // Nor is a login shown where an address is not expected.
    let ran = program.run(&["validate", "https://me:topsecret@git.example/fleet.git"]);
    assert!(!ran.stderr.contains("topsecret"), "{}", ran.stderr);
    let asked = listener.accept().map(|_| ());
    assert_eq!(
        asked.expect_err("nobody").kind(),
        std::io::ErrorKind::WouldBlock
    );
}
