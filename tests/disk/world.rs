//! A small file system as state directory, a fleet of nodes that answer at once, and the
//! program as an operator starts it.
//!
//! Only Ansible and ssh are replaced, by small programs: queue, worker, supervisor, record and
//! disk are the real ones.

use std::fs::{self, OpenOptions, Permissions};
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

/// In the environment of the test that runs in a namespace of its own.
const CONTAINED: &str = "PRESSLUFT_DISK_TEST_CONTAINED";

/// Whether this is a private mount namespace. If not, the test is run again in one, and its
/// result becomes this one's; without root it is skipped.
pub(crate) fn contained(test: &str) -> bool {
    if std::env::var_os(CONTAINED).is_some() {
        return true;
    }
    if !nix::unistd::geteuid().is_root() {
        println!("skipped: mounting a small file system takes root");
        return false;
    }
    let probe = Command::new("unshare")
        .args(["--mount", "--propagation", "private", "--", "true"])
        .output();
    if !probe.as_ref().is_ok_and(|probe| probe.status.success()) {
        println!("skipped: no mount namespace of its own: {probe:?}");
        return false;
    }
    // What is mounted there is gone with its last process, however that ends.
    let output = Command::new("unshare")
        .args(["--mount", "--propagation", "private", "--"])
        .arg(std::env::current_exe().expect("this program"))
        .args(["--exact", test, "--nocapture"])
        .env(CONTAINED, "1")
        .stdin(Stdio::null())
        .output()
        .expect("unshare runs");
    let text = String::from_utf8_lossy(&output.stdout);
    println!("{text}{}", String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{test} failed in its namespace");
    assert!(text.contains("1 passed"), "{test} did not run there");
    false
}

pub(crate) struct World {
    directory: tempfile::TempDir,
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
}

/// A program that still runs.
pub(crate) struct Started {
    child: Child,
    name: String,
    directory: PathBuf,
}

impl World {
    /// A state directory of so many MiB and a fleet of so many nodes.
    pub(crate) fn new(mebibytes: u64, nodes: u32) -> Self {
        let world = Self {
            directory: tempfile::tempdir().expect("a directory"),
        };
        for name in ["state", "bin", "begun", "fleet"] {
            fs::create_dir(world.path(name)).expect("made");
        }
        let size = format!("size={mebibytes}m,mode=0700");
        let status = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &size, "tmpfs"])
            .arg(world.path("state"))
            .status()
            .expect("mount runs");
        assert!(status.success());
        world.write_programs();
        world.write_fleet(nodes);
        world
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    pub(crate) fn state(&self, name: &str) -> PathBuf {
        self.path("state").join(name)
    }

    /// `ssh` stays connected, and `ansible-playbook` says that it begins, waits as long as the
    /// file `hold` is there, and tells a few tasks; with the file `away` no node can be reached,
    /// and with the file `twins` all addresses lead to one machine.
    fn write_programs(&self) {
        let program = |path: &Path, text: &str| {
            fs::create_dir_all(path.parent().expect("a parent")).expect("made");
            fs::write(path, text).expect("written");
            fs::set_permissions(path, Permissions::from_mode(0o755)).expect("executable");
        };
        program(
            &self.path("bin/ssh"),
            "#!/bin/sh\n[ \"$1\" != -V ] || { echo OpenSSH_9.2p1 >&2; exit 0; }\nexec sleep 600\n",
        );
        let facts = serde_json::json!({
            "distribution": "debian", "version": "12", "codename": "bookworm",
            "architecture": "amd64", "kernel": "6.1", "memory_bytes": 4_294_967_296_u64,
            "cpus": 2, "machine_id": "MACHINE", "hostname": "web", "python": "3.11.2",
            "control_address": "192.0.2.1", "ipv4": ["192.0.2.2"], "ipv6": [],
            "virtualization": "kvm", "systemd": true, "disk_free_bytes": 10_000_000_000_u64,
        });
        let task = |name: &str, result: &Value| {
            serde_json::json!({
                "event": "task", "task": name, "action": "pressluft.host.converge",
                "host": "web", "status": "changed", "seconds": 0.1, "result": result,
                "diff": [{"before": "", "after": "a line of a file\n".repeat(200)}],
            })
            .to_string()
        };
        let stats = serde_json::json!({"event": "stats", "hosts": {"web": {"ok": 4}}});
        let begun = self.path("begun").display().to_string();
        let hold = self.path("hold").display().to_string();
        let script = format!(
            "#!/bin/bash\n\
             machine=0123456789abcdef0123456789abcdef\n\
             for last; do case $last in */inventory.json)\n\
               [ -e '{twins}' ] || machine=$(grep -o '192[.]0[.]2[.][0-9]*' \"$last\" | md5sum | cut -c 1-32) ;;\n\
             esac; done\n\
             facts='{facts}'\n\
             say() {{ printf '%s\\n' \"$1\" >&3; }}\n\
             say '{{\"event\":\"play_start\",\"play\":\"p\"}}'\n\
             if [ -e '{away}' ]; then say '{unreachable}'; exit 4; fi\n\
             case $last in\n\
             *facts.yml) say \"${{facts/MACHINE/$machine}}\" ;;\n\
             *)\n\
               say '{first}'\n\
               : > \"{begun}/$$\"\n\
               while [ -e '{hold}' ]; do sleep 0.05; done\n\
               for n in 1 2 3; do say '{more}'; done ;;\n\
             esac\n\
             say '{stats}'\n",
            facts = task("facts", &serde_json::json!({ "facts": facts })),
            first = task("first", &Value::Null),
            more = task("more", &Value::Null),
            away = self.path("away").display(),
            twins = self.path("twins").display(),
            unreachable = serde_json::json!({
                "event": "task", "task": "facts", "action": "pressluft.host.facts", "host": "web",
                "status": "unreachable", "seconds": 0.1, "msg": "no route to host",
            }),
        );
        program(&self.path("venv/bin/ansible-playbook"), "");
        // What is started is our own program, which this Python does not look at.
        program(&self.path("venv/bin/python"), &script);
        fs::write(self.path("venv/pyvenv.cfg"), "home = /usr/bin\n").expect("written");
        fs::create_dir_all(
            self.path("venv/lib/python3/site-packages/ansible_core-2.19.0.dist-info"),
        )
        .expect("made");
    }

    fn write_fleet(&self, nodes: u32) {
        let key = |n: u32| {
            let mut key = b"\0\0\0\x0bssh-ed25519\0\0\0\x20".to_vec();
            key.extend([n as u8; 32]);
            data_encoding::BASE64.encode(&key)
        };
        let mut text = "kind: Fleet\nversion: 1\nname: disk\nansible: {engine: plain}\n".to_owned();
        for n in 1..=nodes {
            text.push_str(&format!(
                "---\nkind: Node\nname: web-{n}\nhost: 192.0.2.{n}\n\
                 ssh: {{host_key: \"ssh-ed25519 {}\"}}\n",
                key(n)
            ));
        }
        fs::write(self.path("fleet/pressluft.yaml"), text).expect("written");
    }

    /// Makes jobs wait, or lets them go on.
    pub(crate) fn hold(&self, on: bool) {
        let path = self.path("hold");
        if on {
            fs::write(path, "").expect("written");
        } else {
            fs::remove_file(path).expect("removed");
        }
    }

    /// How many jobs have begun on a node.
    pub(crate) fn begun(&self) -> usize {
        fs::read_dir(self.path("begun")).expect("listed").count()
    }

    /// Writes until nothing fits any more.
    pub(crate) fn fill(&self) {
        let mut file = OpenOptions::new()
            .append(true)
            .create(true)
            .open(self.state("filler"))
            .expect("opened");
        for size in [1024 * 1024, 4096] {
            let block = vec![0xff; size];
            while file.write_all(&block).is_ok() {}
        }
    }

    pub(crate) fn make_room(&self) {
        fs::remove_file(self.state("filler")).expect("removed");
    }

    pub(crate) fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_pressluft"));
        let path = format!(
            "{}:{}",
            self.path("bin").display(),
            std::env::var("PATH").unwrap_or_default()
        );
        command
            .args(words)
            .env_clear()
            .env("PATH", path)
            .env("HOME", self.directory.path())
            .env("TMPDIR", self.directory.path())
            .env("PRESSLUFT_STATE_DIR", self.path("state"))
            .env("PRESSLUFT_ANSIBLE_VENV", self.path("venv"))
            .current_dir(self.path("fleet"))
            .stdin(Stdio::null());
        command
    }

    pub(crate) fn run(&self, words: &[&str]) -> Ran {
        let output = self.command(words).output().expect("pressluft runs");
        Ran {
            code: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    /// Starts it; what it says goes into files outside of the state directory.
    pub(crate) fn start(&self, name: &str, command: &mut Command) -> Started {
        let file = |kind: &str| {
            let path = self.path(&format!("{name}.{kind}"));
            Stdio::from(fs::File::create(path).expect("made"))
        };
        let child = command
            .stdout(file("out"))
            .stderr(file("err"))
            .spawn()
            .expect("pressluft runs");
        Started {
            child,
            name: name.to_owned(),
            directory: self.directory.path().to_owned(),
        }
    }

    /// The library that makes writes and syncs fail; none where nothing compiles it.
    pub(crate) fn shim(&self) -> Option<PathBuf> {
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/faults/shim.c");
        let library = self.path("shim.so");
        let compiled = Command::new("cc")
            .args(["-O1", "-shared", "-fPIC", "-o"])
            .arg(&library)
            .arg(source)
            .arg("-ldl")
            .status();
        compiled
            .is_ok_and(|status| status.success())
            .then_some(library)
    }

    /// How many jobs have this status.
    pub(crate) fn count(&self, status: &str) -> usize {
        let ran = self
            .run(&["jobs", "list", "-o", "json", "--status", status])
            .expect(0);
        let jobs: Value = serde_json::from_str(&ran.stdout).expect("JSON");
        jobs.as_array().expect("an array").len()
    }

    /// Everything that a check of the database looks at holds.
    #[track_caller]
    pub(crate) fn assert_sound(&self) {
        self.run(&["db", "check"]).expect(0);
        self.run(&["audit", "verify"]).expect(0);
    }

    /// The room that is held back: its length and its blocks in bytes.
    pub(crate) fn ballast(&self) -> Option<(u64, u64)> {
        use std::os::unix::fs::MetadataExt;
        let file = fs::metadata(self.state("pressluft.db.ballast")).ok()?;
        Some((file.len(), file.blocks() * 512))
    }
}

impl Started {
    pub(crate) fn said(&self, kind: &str) -> String {
        let path = self.directory.join(format!("{}.{kind}", self.name));
        fs::read_to_string(path).expect("read")
    }

    pub(crate) fn pid(&self) -> i32 {
        i32::try_from(self.child.id()).expect("a pid")
    }

    pub(crate) fn is_running(&mut self) -> bool {
        self.child.try_wait().expect("asked").is_none()
    }

    /// The exit code, within `limit`.
    #[track_caller]
    pub(crate) fn end(&mut self, limit: Duration) -> i32 {
        let ended = within(limit, || !self.is_running());
        let said = (self.said("out"), self.said("err"));
        assert!(ended, "it did not end: {said:?}");
        let status = self.child.wait().expect("an end");
        status.code().unwrap_or(-1)
    }
}

impl Drop for Started {
    fn drop(&mut self) {
        // Already gone unless the test failed.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// Waits until `done` or for `limit`; whether it was done.
pub(crate) fn within(limit: Duration, mut done: impl FnMut() -> bool) -> bool {
    let end = Instant::now() + limit;
    while Instant::now() < end {
        if done() {
            return true;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    done()
}
