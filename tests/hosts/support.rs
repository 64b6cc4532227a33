//! A fleet of real hosts, a fleet repo for it and a state directory, for one test.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::Value;

pub(crate) struct World {
    name: &'static str,
    pub(crate) dir: tempfile::TempDir,
    root: PathBuf,
    /// Path and digest.
    wordpress: (String, String),
    wp_cli: (String, String),
    /// What stands under `sources` besides.
    more_sources: String,
}

/// What a command printed and how it ended.
pub(crate) struct Ran {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Ran {
    fn new(output: &Output) -> Self {
        Self {
            code: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    #[track_caller]
    pub(crate) fn expect(self, code: i32) -> Self {
        assert_eq!(
            self.code, code,
            "\n-- stdout\n{}\n-- stderr\n{}",
            self.stdout, self.stderr
        );
        self
    }

    /// The lines of a JSON stream.
    #[track_caller]
    pub(crate) fn lines(&self) -> Vec<Value> {
        self.stdout
            .lines()
            .map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("no JSON: {line}")))
            .collect()
    }

    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|_| panic!("no JSON: {}", self.stdout))
    }
}

impl World {
    /// Boots `hosts` hosts under a fleet name of their own.
    pub(crate) fn new(name: &'static str, hosts: u32) -> Self {
        let root = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
        let source = Command::new(root.join("tests/hosts/wordpress-source"))
            .output()
            .expect("wordpress-source runs");
        assert!(
            source.status.success(),
            "{}",
            String::from_utf8_lossy(&source.stderr)
        );
        let text = String::from_utf8_lossy(&source.stdout).into_owned();
        let value = |key: &str| {
            text.lines()
                .find_map(|line| line.strip_prefix(&format!("{key}=")))
                .unwrap_or_else(|| panic!("no {key} in {text}"))
                .to_owned()
        };
        let world = Self {
            name,
            dir: tempfile::tempdir().expect("a directory"),
            wordpress: (value("WORDPRESS_ZIP"), value("WORDPRESS_SHA256")),
            wp_cli: (value("WP_CLI_PHAR"), value("WP_CLI_SHA512")),
            more_sources: String::new(),
            root,
        };
        drop(world.fleet(&["down"]));
        world.fleet(&["up", &hosts.to_string()]).expect(0);
        fs::create_dir_all(world.repo()).expect("a directory");
        world.git(&["init", "-q", "-b", "main"]);
        let key = world.pressluft(&["ssh-key"]).expect(0).stdout;
        for host in 1..=hosts {
            world.admit(host, &key);
        }
        world
    }

    fn admit(&self, host: u32, key: &str) {
        let line = format!("echo '{}' >>/root/.ssh/authorized_keys", key.trim());
        self.fleet(&["ssh", &host.to_string(), &line]).expect(0);
    }

    pub(crate) fn repo(&self) -> PathBuf {
        self.dir.path().join("fleet")
    }

    pub(crate) fn state(&self) -> PathBuf {
        self.dir.path().join("state")
    }

    /// The path of WP-CLI, and its SHA-512.
    pub(crate) fn wp_cli(&self) -> (&str, &str) {
        (&self.wp_cli.0, &self.wp_cli.1)
    }

    /// Puts a file into the directory of sources; how a document names it.
    pub(crate) fn source(&self, name: &str, text: &str) -> String {
        let path = self.sources().join(name);
        fs::write(&path, text).expect("a file");
        let output = Command::new("sha256sum")
            .arg(&path)
            .output()
            .expect("sha256sum runs");
        let digest = String::from_utf8_lossy(&output.stdout).into_owned();
        let digest = digest.split(' ').next().expect("a digest");
        format!("{{path: {}, sha256: {digest}}}", path.display())
    }

    /// Gives the fleet a directory of sources of its own, to which files can be added; `SOURCES` then has `more`, too.
    pub(crate) fn with_own_sources(mut self, more: &str) -> Self {
        let directory = self.dir.path().join("sources");
        fs::create_dir_all(&directory).expect("a directory");
        for path in [&mut self.wordpress.0, &mut self.wp_cli.0] {
            let name = Path::new(path).file_name().expect("a name");
            let copy = directory.join(name);
            fs::copy(&path, &copy).expect("copied");
            *path = copy.display().to_string();
        }
        more.clone_into(&mut self.more_sources);
        self
    }

    /// The directory that documents may name files of.
    pub(crate) fn sources(&self) -> &Path {
        Path::new(&self.wordpress.0).parent().expect("a parent")
    }

    pub(crate) fn fleet(&self, words: &[&str]) -> Ran {
        let output = Command::new(self.root.join("tests/hosts/fleet"))
            .args(words)
            .env("FLEET_NAME", self.name)
            .stdin(Stdio::null())
            .output()
            .expect("the fleet script runs");
        Ran::new(&output)
    }

    pub(crate) fn ssh(&self, host: u32, command: &str) -> String {
        self.fleet(&["ssh", &host.to_string(), command])
            .expect(0)
            .stdout
    }

    pub(crate) fn ip(&self, host: u32) -> String {
        self.fleet(&["ip", &host.to_string()])
            .expect(0)
            .stdout
            .trim()
            .to_owned()
    }

    pub(crate) fn git(&self, words: &[&str]) {
        let status = Command::new("git")
            .arg("-C")
            .arg(self.repo())
            .args(["-c", "user.name=ops", "-c", "user.email=ops@example.com"])
            .args(words)
            .status()
            .expect("git runs");
        assert!(status.success(), "git {words:?}");
    }

    /// Writes a file of the fleet repo; `HOST<n>` becomes that host's address, `SOURCES` the
    /// local copies of WordPress and WP-CLI.
    pub(crate) fn write(&self, path: &str, text: &str) {
        let mut text = text.replace(
            "SOURCES",
            &format!(
                "sources: {{wordpress: {{path: {}, sha256: {}}}, wp_cli: {{path: {}, sha512: {}}}{}}}",
                self.wordpress.0,
                self.wordpress.1,
                self.wp_cli.0,
                self.wp_cli.1,
                self.more_sources
            ),
        );
        for host in 1..=8 {
            let mark = format!("HOST{host}");
            if text.contains(&mark) {
                text = text.replace(&mark, &self.ip(host));
            }
        }
        let path = self.repo().join(path);
        fs::create_dir_all(path.parent().expect("a parent")).expect("a directory");
        fs::write(path, text).expect("a file");
    }

    pub(crate) fn edit(&self, path: &str, from: &str, to: &str) {
        let path = self.repo().join(path);
        let text = fs::read_to_string(&path).expect("a file");
        assert!(text.contains(from), "no `{from}` in {text}");
        fs::write(path, text.replace(from, to)).expect("a file");
    }

    pub(crate) fn commit(&self, message: &str) {
        self.git(&["add", "-A"]);
        self.git(&["commit", "-q", "-m", message]);
    }

    /// The release binary, as an operator runs it.
    pub(crate) fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(self.root.join("target/release/pressluft"));
        command
            .args(words)
            .current_dir(self.repo())
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", self.dir.path())
            .env("PRESSLUFT_STATE_DIR", self.state())
            .env("PRESSLUFT_SOURCES_DIR", self.sources())
            .env("PRESSLUFT_LISTEN_ADDR", "127.0.0.1:0")
            .env(
                "PRESSLUFT_ANSIBLE_VENV",
                self.root.join("target/ansible-venv"),
            )
            .stdin(Stdio::null());
        command
    }

    pub(crate) fn pressluft(&self, words: &[&str]) -> Ran {
        Ran::new(&self.command(words).output().expect("pressluft runs"))
    }

    /// The head and body that `host` answers `http://NAME/PATH` with.
    pub(crate) fn visit(&self, host: u32, name: &str, path: &str) -> (String, String) {
        let output = Command::new("curl")
            .args(["-sS", "-i", "--max-time", "60", "--resolve"])
            .arg(format!("{name}:80:{}", self.ip(host)))
            .arg(format!("http://{name}{path}"))
            .output()
            .expect("curl runs");
        // What curl says when nobody answers is seen in the failed assertion.
        let text = [output.stdout, output.stderr].concat();
        let text = String::from_utf8_lossy(&text).into_owned();
        let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
        (head.to_owned(), body.to_owned())
    }

    /// The jobs as recorded, the oldest first, each with its tasks.
    pub(crate) fn jobs(&self) -> Vec<Value> {
        let list = self
            .pressluft(&["jobs", "list", "--limit", "500", "-o", "json"])
            .expect(0);
        let mut jobs = list.json().as_array().expect("a list").clone();
        jobs.reverse();
        jobs
    }

    pub(crate) fn show(&self, job: &Value) -> Value {
        let id = job["id"].as_str().expect("an id");
        self.pressluft(&["jobs", "show", id, "-o", "json"])
            .expect(0)
            .json()
    }

    /// Files below `dir` that contain `needle`.
    pub(crate) fn files_with(dir: &Path, needle: &str) -> Vec<PathBuf> {
        let mut found = Vec::new();
        let mut open = vec![dir.to_owned()];
        while let Some(dir) = open.pop() {
            for entry in fs::read_dir(&dir).into_iter().flatten().flatten() {
                let path = entry.path();
                if path.is_symlink() {
                    continue;
                } else if path.is_dir() {
                    open.push(path);
                } else if fs::read(&path).is_ok_and(|bytes| {
                    bytes
                        .windows(needle.len())
                        .any(|window| window == needle.as_bytes())
                }) {
                    found.push(path);
                }
            }
        }
        found
    }
}

impl Drop for World {
    fn drop(&mut self) {
        drop(self.fleet(&["down"]));
    }
}
