//! A bare repository, a clone that pushes to it, a state directory, and the program.

use std::ffi::OsStr;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::{Duration, Instant};

use pressluft::core::change::SpecPatch;
use pressluft::core::id::ResourceId;
use pressluft::core::recorded::ResourceStatus;
use pressluft::core::secret_owner::Reserved;
use pressluft::git::{Loaded, load_desired, open_working_tree};
use pressluft::store::{RecordPatch, Revision, StateChange};
use serde_json::Value;
use tempfile::TempDir;

/// How long anything may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) const FLEET: &str = "kind: Fleet\nversion: 1\nname: studio\n\
    reconcile: { interval: 1h }\n---\n\
    kind: Node\nname: web-1\nhost: 127.0.0.1\n";

pub(crate) struct World {
    directory: TempDir,
}

pub(crate) struct Ran {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Ran {
    #[track_caller]
    pub(crate) fn expect(self, code: i32) -> Self {
        assert_eq!(
            self.code, code,
            "\n-- stdout\n{}\n-- stderr\n{}",
            self.stdout, self.stderr
        );
        self
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).expect("JSON")
    }
}

impl World {
    /// A fleet of one node that was pushed as `main`.
    pub(crate) fn new() -> Self {
        let world = Self {
            directory: tempfile::tempdir().expect("a directory"),
        };
        let bare = world.bare().display().to_string();
        git(
            world.directory.path(),
            ["init", "-q", "--bare", "-b", "main", &bare],
        );
        git(world.directory.path(), ["clone", "-q", &bare, "clone"]);
        world.write("pressluft.yaml", FLEET);
        world.push("First");
        world
    }

    pub(crate) fn path(&self) -> &Path {
        self.directory.path()
    }

    pub(crate) fn bare(&self) -> PathBuf {
        self.path().join("fleet.git")
    }

    pub(crate) fn clone(&self) -> PathBuf {
        self.path().join("clone")
    }

    pub(crate) fn state(&self) -> PathBuf {
        self.path().join("state")
    }

    pub(crate) fn write(&self, path: &str, content: &str) {
        let path = self.clone().join(path);
        fs::create_dir_all(path.parent().expect("a parent")).expect("made");
        fs::write(path, content).expect("written");
    }

    /// A site of its own file, on the node.
    pub(crate) fn write_site(&self, name: &str, title: &str) {
        let text = format!(
            "kind: Site\nname: {name}\ntitle: {title}\nnode: web-1\n\
             admin: {{ user: ops, email: ops@studio.example }}\nwordpress: {{ version: \"6.8.2\" }}\n\
             ---\nkind: Environment\nsite: {name}\nname: production\ntype: production\n"
        );
        self.write(&format!("sites/{name}.yaml"), &text);
    }

    /// Commits everything; the id.
    pub(crate) fn commit(&self, message: &str) -> String {
        self.git(["add", "-A"]);
        self.git(["commit", "-q", "--allow-empty", "-m", message]);
        self.git(["rev-parse", "HEAD"])
    }

    /// Commits and pushes everything; the id.
    pub(crate) fn push(&self, message: &str) -> String {
        let commit = self.commit(message);
        self.git(["push", "-q", "origin", "HEAD:main"]);
        commit
    }

    pub(crate) fn git<S: AsRef<OsStr>>(&self, words: impl IntoIterator<Item = S>) -> String {
        git(&self.clone(), words)
    }

    fn program(&self, words: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_pressluft"));
        command
            .args(words)
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", self.path())
            .env("PRESSLUFT_STATE_DIR", self.state())
            // Tests run side by side.
            .env("PRESSLUFT_LISTEN_ADDR", "127.0.0.1:0")
            // Where the tests listen for notifications.
            .env("PRESSLUFT_SOURCES_ALLOW_PRIVATE", "127.0.0.0/8")
            .current_dir(self.path())
            .stdin(Stdio::null());
        command
    }

    pub(crate) fn run(&self, words: &[&str]) -> Ran {
        let output = self.program(words).output().expect("pressluft runs");
        Ran {
            code: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    /// One reconcile of the bare repository, without a daemon.
    pub(crate) fn reconcile(&self) -> Ran {
        let bare = self.bare().display().to_string();
        self.run(&["reconcile", "--json", "--repo", &bare, "--ref", "main"])
    }

    pub(crate) fn settings(&self, text: &str) {
        fs::create_dir_all(self.state()).expect("made");
        fs::write(self.state().join("pressluft.toml"), text).expect("written");
    }

    /// Records everything as the clone has it, as if jobs had made it so.
    pub(crate) fn adopt(&self) {
        let snapshot = open_working_tree(&self.clone(), None).expect("read");
        let commit = snapshot.revision.commit.clone().expect("a commit");
        let Ok(Loaded::Valid(desired, _)) = load_desired(snapshot, None, &Reserved::default())
        else {
            panic!("the fleet is valid");
        };
        let path = self.state().join("pressluft.db");
        let mut store = pressluft::store::Store::open(&path).expect("opened");
        let now = "2026-02-22T12:00:00Z".parse().expect("a time");
        let revision = Revision {
            id: commit.clone(),
            author: None,
            message: None,
            committed_at: None,
            dirty: false,
        };
        store.save_revision(&revision, now).expect("saved");
        let record = |id: &ResourceId| {
            StateChange::Patch(Box::new(RecordPatch {
                id: id.clone(),
                patch: SpecPatch::of(&desired.spec(id).expect("read").expect("is there")),
                status: Some(ResourceStatus::Active),
                node: id.site().map(|_| "web-1".to_owned()),
                revision: commit.clone(),
                source: desired.source(id),
                fingerprints: std::collections::BTreeMap::new(),
            }))
        };
        let records: Vec<StateChange> = desired.ids().map(record).collect();
        store
            .set_recorded(&records, &[], "adopted", "ops", now)
            .expect("recorded");
    }

    /// What the database says about revisions, the oldest first, as `verdict subject`.
    pub(crate) fn sightings(&self) -> Vec<String> {
        let store = self.store();
        let mut all = store.sightings(None, 10_000).expect("read");
        all.reverse();
        all.iter()
            .map(|seen| {
                let subject = seen.revision.message.as_deref().unwrap_or("");
                format!("{} {subject}", seen.verdict)
            })
            .collect()
    }

    pub(crate) fn store(&self) -> pressluft::store::Store {
        pressluft::store::Store::open_read_only(&self.state().join("pressluft.db"))
            .expect("the database is there")
    }

    /// The queue as `job_type resource status`, the oldest first.
    pub(crate) fn jobs(&self) -> Vec<String> {
        let filter = pressluft::store::JobFilter {
            limit: 10_000,
            ..Default::default()
        };
        let mut jobs = self.store().jobs(&filter).expect("read").jobs;
        jobs.reverse();
        jobs.iter()
            .map(|job| format!("{} {} {}", job.job_type, job.resource, job.status))
            .collect()
    }

    /// Starts `serve` on the bare repository; it runs no jobs.
    pub(crate) fn serve(&self, words: &[&str]) -> Daemon {
        let mut all = vec!["serve", "--no-jobs", "--json"];
        all.extend(words);
        self.start(&all, &[])
    }

    pub(crate) fn start(&self, words: &[&str], environment: &[(&str, &str)]) -> Daemon {
        let mut child = self
            .program(words)
            .envs(environment.iter().copied())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("pressluft starts");
        let stdout = child.stdout.take().expect("a pipe");
        let stderr = child.stderr.take().expect("a pipe");
        let (sender, lines) = mpsc::channel();
        thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                let value = serde_json::from_str(&line).expect("JSON");
                if sender.send(value).is_err() {
                    return;
                }
            }
        });
        let errors = thread::spawn(move || {
            let lines = BufReader::new(stderr).lines().map_while(Result::ok);
            lines.collect::<Vec<_>>().join("\n")
        });
        Daemon {
            child,
            lines,
            errors: Some(errors),
        }
    }
}

/// A running `serve`; killed when dropped.
pub(crate) struct Daemon {
    pub(crate) child: Child,
    lines: Receiver<Value>,
    errors: Option<thread::JoinHandle<String>>,
}

impl Daemon {
    /// The next line that `is_it`; those before it are gone.
    #[track_caller]
    pub(crate) fn line(&mut self, what: &str, is_it: impl Fn(&Value) -> bool) -> Value {
        let end = Instant::now() + PATIENCE;
        let mut seen = Vec::new();
        loop {
            let left = end.saturating_duration_since(Instant::now());
            match self.lines.recv_timeout(left) {
                Ok(line) if is_it(&line) => return line,
                Ok(line) => seen.push(line.to_string()),
                Err(error) => panic!("{what}: {error}, seen\n{}", seen.join("\n")),
            }
        }
    }

    /// The next pass after which this revision is in force.
    #[track_caller]
    pub(crate) fn in_force(&mut self, commit: &str) -> Value {
        self.line(&format!("{commit} in force"), |line| {
            line["in_force"] == commit && line["work"] != "nothing"
        })
    }

    pub(crate) fn signal(&self, signal: nix::sys::signal::Signal) {
        let pid = nix::unistd::Pid::from_raw(i32::try_from(self.child.id()).expect("a pid"));
        nix::sys::signal::kill(pid, signal).expect("it is there");
    }

    /// Waits for its end; the exit code and what it said on standard error.
    pub(crate) fn end(mut self) -> (Option<i32>, String) {
        let started = Instant::now();
        let status = loop {
            if let Some(status) = self.child.try_wait().expect("a child") {
                break status;
            }
            assert!(started.elapsed() < PATIENCE, "it does not end");
            thread::sleep(Duration::from_millis(10));
        };
        let errors = self.errors.take().expect("taken once");
        (status.code(), errors.join().expect("no panic"))
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// Runs git without the settings of the machine; what it said.
pub(crate) fn git<S: AsRef<OsStr>>(directory: &Path, words: impl IntoIterator<Item = S>) -> String {
    let output = Command::new("git")
        .current_dir(directory)
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_CONFIG_SYSTEM", "/dev/null")
        .env("GIT_AUTHOR_NAME", "Robin Example")
        .env("GIT_AUTHOR_EMAIL", "robin@studio.example")
        .env("GIT_COMMITTER_NAME", "Robin Example")
        .env("GIT_COMMITTER_EMAIL", "robin@studio.example")
        .args(words)
        .output()
        .expect("git runs");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}
