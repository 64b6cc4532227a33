//! `pressluft secret` and `pressluft audit` as a person or a script uses them.

use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};

use pressluft::process::command;

const VALUE: &str = "hunter2-and-a-long-tail";

pub(crate) struct World {
    directory: tempfile::TempDir,
}

impl World {
    pub(crate) fn new() -> Self {
        Self {
            directory: tempfile::tempdir().expect("directory"),
        }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn run_with(&self, args: &[&str], input: &str, environment: &[(&str, &Path)]) -> Output {
        let mut child = command(env!("CARGO_BIN_EXE_pressluft"))
            .env("PRESSLUFT_STATE_DIR", self.path("state"))
            .envs(environment.iter().copied())
            .args(args)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("started");
        let mut stdin = child.stdin.take().expect("piped");
        // A command that reads nothing may have closed it.
        drop(stdin.write_all(input.as_bytes()));
        drop(stdin);
        child.wait_with_output().expect("ended")
    }

    pub(crate) fn run(&self, args: &[&str], input: &str) -> Output {
        self.run_with(args, input, &[])
    }

    pub(crate) fn ok(&self, args: &[&str], input: &str) -> String {
        let output = self.run(args, input);
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(0), "{args:?}: {stderr}");
        String::from_utf8(output.stdout).expect("text")
    }

    fn script(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path(name);
        std::fs::write(&path, text).expect("written");
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).expect("mode");
        path
    }

    /// A fleet repo of somebody else, with that one's recipient.
    fn fleet(&self) -> PathBuf {
        let other = Self::new().ok(&["secret", "keygen"], "");
        let path = self.path("fleet");
        std::fs::create_dir(&path).expect("made");
        let text = format!(
            "kind: Fleet\nname: demo\nsecrets: {{ recipients: [{}] }}\n---\nkind: Node\nname: a\n",
            other.trim()
        );
        std::fs::write(path.join("pressluft.yaml"), text).expect("written");
        path
    }
}

fn files_below(directory: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(directory).expect("read") {
        let path = entry.expect("entry").path();
        if path.is_dir() {
            files.extend(files_below(&path));
        } else {
            files.push(path);
        }
    }
    files
}

#[test]
fn a_secret_goes_in_by_standard_input_and_comes_out_audited() {
    let world = World::new();
    let recipient = world.ok(&["secret", "keygen"], "");
    assert!(recipient.starts_with("age1"));
    world.ok(&["secret", "set", "acme/staging"], &format!("{VALUE}\n"));
    assert_eq!(world.ok(&["secret", "get", "acme/staging"], ""), VALUE);
    world.ok(&["secret", "set", "twice"], "two newlines\n\n");
    assert_eq!(world.ok(&["secret", "get", "twice"], ""), "two newlines\n");

    let list = world.ok(&["secret", "list", "-o", "json"], "");
    let list: serde_json::Value = serde_json::from_str(&list).expect("JSON");
    assert_eq!(
        (&list[0]["name"], &list[1]["name"]),
        (&"acme/staging".into(), &"twice".into())
    );
    let audit = world.ok(
        &["audit", "list", "-o", "json", "--action", "secret_revealed"],
        "",
    );
    let audit: serde_json::Value = serde_json::from_str(&audit).expect("JSON");
    assert_eq!(audit[1]["detail"]["name"], "acme/staging");
    assert!(
        audit[1]["actor"]
            .as_str()
            .is_some_and(|actor| actor.starts_with("cli:"))
    );

    let found = files_below(&world.path("state"))
        .into_iter()
        .filter(|path| {
            let content = std::fs::read(path).expect("read");
            content
                .windows(VALUE.len())
                .any(|window| window == VALUE.as_bytes())
        });
    assert_eq!(
        found.collect::<Vec<_>>(),
        Vec::<PathBuf>::new(),
        "the value is on the disk"
    );
}

#[test]
fn mistakes_are_refused_with_a_hint() {
    let world = World::new();
    let cases: [(&[&str], &str, i32, &str); 5] = [
        (&["secret", "get", "s3"], "", 1, "secret keygen"),
        (&["secret", "set", "../s3"], "x", 64, "lower-case letters"),
        (&["secret", "set", "s3"], "\n", 1, "is empty"),
        (
            &["secret", "set", "s3", "--repo", "/nonexistent"],
            "x",
            1,
            "root of a fleet repo",
        ),
        (&["audit", "verify", "--expect", "7"], "", 64, "NUMBER:HASH"),
    ];
    for (args, input, code, hint) in cases {
        let output = world.run(args, input);
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{args:?}: {stderr}");
        assert!(stderr.contains(hint), "{args:?}: {stderr}");
    }
    let recipient = world.ok(&["secret", "keygen"], "");
    let again = world.run(&["secret", "keygen"], "");
    assert_eq!(again.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&again.stderr).contains(recipient.trim()));
    let missing = world.run(&["secret", "get", "s3"], "");
    assert!(String::from_utf8_lossy(&missing.stderr).contains("secret set NAME"));
}

#[test]
fn a_secret_of_the_fleet_repo_is_for_the_fleet_and_this_control_plane() {
    let world = World::new();
    let fleet = world.fleet();
    let repo = fleet.to_str().expect("text");
    // Without an identity of its own, a laptop can still encrypt for the fleet.
    world.ok(&["secret", "set", "s3", "--repo", repo], VALUE);
    let file = fleet.join("secrets/s3.age");
    let text = std::fs::read_to_string(&file).expect("armored");
    assert!(text.starts_with("-----BEGIN AGE ENCRYPTED FILE-----"));
    world.ok(&["secret", "keygen"], "");
    assert_eq!(
        world
            .run(&["secret", "get", "s3", "--repo", repo], "")
            .status
            .code(),
        Some(1)
    );
    world.ok(&["secret", "set", "s3", "--repo", repo], VALUE);
    assert_eq!(
        world.ok(&["secret", "get", "s3", "--repo", repo], ""),
        VALUE
    );
    world.ok(&["secret", "set", "s3"], "own");
    let list = world.ok(&["secret", "list", "--repo", repo, "-o", "json"], "");
    let list: serde_json::Value = serde_json::from_str(&list).expect("JSON");
    assert_eq!(
        (list[0]["source"].as_str(), list.as_array().map(Vec::len)),
        (Some("fleet-repo"), Some(1))
    );

    std::os::unix::fs::symlink("/tmp", fleet.join("secrets/out")).expect("linked");
    let output = world.run(&["secret", "set", "out/s3", "--repo", repo], VALUE);
    assert!(String::from_utf8_lossy(&output.stderr).contains("is a symbolic link"));
}

#[test]
fn an_editor_sees_the_value_in_a_private_file_that_is_gone_afterwards() {
    let world = World::new();
    world.ok(&["secret", "keygen"], "");
    world.ok(&["secret", "set", "s3"], VALUE);
    let seen = world.path("seen");
    std::fs::create_dir(world.path("run")).expect("made");
    let editor = world.script(
        "editor",
        &format!(
            "#!/bin/sh\necho \"$1\" >{0}\nstat -c %a \"$1\" \"$(dirname \"$1\")\" >>{0}\n\
             cat \"$1\" >>{0}\nprintf 'rotated\\n' >\"$1\"\n",
            seen.display()
        ),
    );
    let environment = [
        ("EDITOR", editor.as_path()),
        ("XDG_RUNTIME_DIR", &world.path("run")),
    ];
    let output = world.run_with(&["secret", "edit", "s3"], "", &environment);
    assert_eq!(
        output.status.code(),
        Some(0),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let seen = std::fs::read_to_string(seen).expect("read");
    let lines: Vec<&str> = seen.lines().collect();
    assert_eq!(lines[1..], ["600", "700", VALUE]);
    assert!(!Path::new(lines[0]).exists());
    assert!(files_below(&world.path("run")).is_empty());
    assert_eq!(world.ok(&["secret", "get", "s3"], ""), "rotated");

    let failing = world.script("failing", "#!/bin/sh\nexit 3\n");
    let environment = [
        ("EDITOR", failing.as_path()),
        ("XDG_RUNTIME_DIR", &world.path("run")),
    ];
    let output = world.run_with(&["secret", "edit", "s3"], "", &environment);
    assert_eq!(output.status.code(), Some(1));
    assert!(files_below(&world.path("run")).is_empty());
    assert_eq!(world.ok(&["secret", "get", "s3"], ""), "rotated");
}

#[test]
fn the_audit_record_verifies_until_somebody_touches_it() {
    let world = World::new();
    assert_eq!(world.ok(&["audit", "list", "-o", "json"], ""), "[]\n");
    world.ok(&["secret", "set", "s3"], VALUE);
    world.ok(&["secret", "set", "smtp"], VALUE);
    let text = world.ok(&["audit", "verify"], "");
    let head = text
        .lines()
        .nth(1)
        .and_then(|line| line.strip_prefix("head "))
        .expect("head");
    world.ok(&["secret", "get", "s3"], "");
    world.ok(&["audit", "verify", "--expect", head], "");
    assert!(
        world
            .ok(&["audit", "list", "-o", "yaml"], "")
            .contains("action: secret_set")
    );

    let raw = rusqlite::Connection::open(world.path("state/pressluft.db")).expect("raw");
    raw.execute_batch(
        "DROP TRIGGER audit_never_changes; UPDATE audit SET actor = 'x' WHERE seq = 2",
    )
    .expect("tampered");
    let output = world.run(&["audit", "verify", "-o", "json"], "");
    assert_eq!(output.status.code(), Some(1));
    let shown: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(shown["broken"]["seq"], 2);
    assert!(String::from_utf8_lossy(&output.stderr).contains("entry 2 was changed"));
}

#[test]
fn another_identity_takes_over_step_by_step() {
    let world = World::new();
    let fleet = world.path("fleet");
    std::fs::create_dir(&fleet).expect("made");
    let first = world.ok(&["secret", "keygen"], "").trim().to_owned();
    let documents = |recipient: &str| {
        let text = format!("kind: Fleet\nname: demo\nsecrets: {{ recipients: [{recipient}] }}\n");
        std::fs::write(fleet.join("pressluft.yaml"), text).expect("written");
    };
    documents(&first);
    let repo = fleet.display().to_string();
    world.ok(&["secret", "set", "own"], VALUE);
    world.ok(&["secret", "set", "shared", "--repo", &repo], VALUE);
    let file = fleet.join("secrets/shared.age");
    let before = std::fs::read(&file).expect("read");

    let second = world.ok(&["secret", "rotate"], "").trim().to_owned();
    assert_ne!(first, second);
    // Both are opened, and what is new is for the new one.
    assert_eq!(world.ok(&["secret", "get", "own"], ""), VALUE);
    assert_eq!(
        world.ok(&["secret", "get", "shared", "--repo", &repo], ""),
        VALUE
    );
    let refused = |words: &[&str], what: &str| {
        let output = world.run(words, "");
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(said.contains(what), "{said}");
    };
    // What is written while the list names the old one would be for both.
    refused(&["secret", "reseal", "--repo", &repo], &first);
    refused(&["secret", "retire", "--repo", &repo], &first);
    let nowhere = world.path("state").display().to_string();
    refused(&["secret", "retire", "--repo", &nowhere], "pressluft.yaml");
    documents(&second);
    refused(&["secret", "retire", "--repo", &repo], "secrets/shared.age");
    world.ok(&["secret", "reseal", "--repo", &repo], "");
    let resealed = std::fs::read(&file).expect("read");
    assert_ne!(resealed, before);
    world.ok(&["secret", "reseal", "--repo", &repo], "");
    assert_eq!(
        std::fs::read(&file).expect("read"),
        resealed,
        "it was for the new one already"
    );

    world.ok(&["secret", "retire", "--repo", &repo], "");
    let identity = std::fs::read_to_string(world.path("state/secrets/identity.age")).expect("read");
    assert_eq!(identity.matches("AGE-SECRET-KEY-").count(), 1);
    assert!(
        identity.contains(&format!("# control plane: {first}")),
        "{first}"
    );
    assert_eq!(world.ok(&["secret", "get", "own"], ""), VALUE);
    assert_eq!(
        world.ok(&["secret", "get", "shared", "--repo", &repo], ""),
        VALUE
    );
    let third = world.ok(&["secret", "rotate"], "").trim().to_owned();
    let identity = std::fs::read_to_string(world.path("state/secrets/identity.age")).expect("read");
    assert!(
        identity.contains(&format!("# control plane: {first}")),
        "{third}"
    );
    world.ok(&["audit", "verify"], "");
}

#[test]
fn an_identity_is_not_exchanged_below_something_that_runs() {
    let world = World::new();
    world.ok(&["secret", "keygen"], "");
    let path = world.path("state/secrets/identity.age");
    let before = std::fs::read(&path).expect("read");
    let _open = pressluft::store::Store::open(&world.path("state/pressluft.db")).expect("opened");
    let refused = world.run(&["secret", "rotate"], "");
    assert_eq!(refused.status.code(), Some(6), "{refused:?}");
    assert_eq!(std::fs::read(&path).expect("read"), before);
}
