//! A real node, a real ansible-core and a state directory of its own for each test.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use pressluft::ansible::venv::Venv;
use pressluft::ansible::{Cancel, Engine, Host, Invocation, Playbook, Settings};
use pressluft::core::document::fleet::AnsibleEngine;
use pressluft::core::event::{Event, TaskResult};
use pressluft::core::job::ErrorCode;
use pressluft::core::outcome::AttemptOutcome;
use serde_json::Map;

/// The test host as the fleet script knows it.
pub(crate) struct Node {
    pub(crate) number: u8,
    pub(crate) address: String,
    pub(crate) key: String,
    pub(crate) host_key: String,
}

/// Runs the fleet script; none when this machine cannot boot hosts.
#[expect(clippy::disallowed_methods, reason = "a test starts the fleet script")]
fn fleet(arguments: &[&str], python: bool) -> Option<String> {
    let script = std::env::var_os("PRESSLUFT_TEST_FLEET_SCRIPT").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/hosts/fleet"),
        PathBuf::from,
    );
    let output = Command::new(script)
        .args(arguments)
        // A fleet of its own: one test takes Python away from a host, another its link.
        .env(
            "FLEET_NAME",
            std::env::var("PRESSLUFT_ENGINE_FLEET")
                .as_deref()
                .unwrap_or("engine"),
        )
        .env("FLEET_PYTHON", if python { "1" } else { "0" })
        .stdin(Stdio::null())
        .output()
        .ok()?;
    assert_ne!(output.status.code(), Some(1), "{arguments:?}: {output:?}");
    output
        .status
        .success()
        .then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// The node with this number, booted if it is not there.
pub(crate) fn node(number: u8) -> Option<Node> {
    fleet(&["add", &number.to_string()], true)?;
    describe(number)
}

/// The node with this number, new and without Python.
pub(crate) fn node_without_python(number: u8) -> Option<Node> {
    fleet(&["reset", &number.to_string()], false)?;
    describe(number)
}

fn describe(number: u8) -> Option<Node> {
    let text = number.to_string();
    let key = fleet(&["key"], true)?;
    Some(Node {
        number,
        address: fleet(&["ip", &text], true)?,
        key: std::fs::read_to_string(key).expect("the fleet's key"),
        host_key: fleet(&["hostkey", &text], true)?,
    })
}

impl Node {
    /// Takes the node's link down or up.
    pub(crate) fn link(&self, up: bool) {
        fleet(
            &[
                "net",
                &self.number.to_string(),
                if up { "up" } else { "down" },
            ],
            true,
        );
    }

    /// What a shell command on the node prints.
    pub(crate) fn shell(&self, command: &str) -> String {
        fleet(&["ssh", &self.number.to_string(), command], true).unwrap_or_default()
    }
}

/// Says why a test does nothing on this machine.
#[macro_export]
macro_rules! node_or_skip {
    ($node:expr) => {
        match $node {
            Some(node) => node,
            None => {
                println!("skipped: this machine cannot boot test hosts (`fleet check` says why)");
                return;
            }
        }
    };
}

/// Makes two tests of each function, one for each way to run Ansible.
#[macro_export]
macro_rules! in_both_engines {
    ($($test:ident),+ $(,)?) => {
        mod warm {
            $(#[test]
            fn $test() {
                let _turn = $crate::support::turn(stringify!($test));
                super::$test(pressluft::core::document::fleet::AnsibleEngine::Warm);
            })+
        }
        mod plain {
            $(#[test]
            fn $test() {
                let _turn = $crate::support::turn(stringify!($test));
                super::$test(pressluft::core::document::fleet::AnsibleEngine::Plain);
            })+
        }
    };
}

/// Waits for the other test of the same function: both use the same files on a node.
pub(crate) fn turn(test: &'static str) -> MutexGuard<'static, ()> {
    static TURNS: Mutex<BTreeMap<&str, &Mutex<()>>> = Mutex::new(BTreeMap::new());
    let turn = *TURNS
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .entry(test)
        .or_insert_with(|| Box::leak(Box::new(Mutex::new(()))));
    turn.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The Python environment, made once for all tests.
pub(crate) fn venv() -> &'static Path {
    static VENV: OnceLock<PathBuf> = OnceLock::new();
    VENV.get_or_init(|| {
        let state = Path::new(env!("CARGO_TARGET_TMPDIR")).join("ansible");
        let venv = Venv::make(&state, &mut std::io::sink()).expect("pip reaches a registry");
        venv.path().to_owned()
    })
}

/// An engine with a state directory of its own.
pub(crate) struct Bench {
    pub(crate) state: tempfile::TempDir,
    pub(crate) engine: Engine,
    mode: AnsibleEngine,
}

pub(crate) fn settings(state: &Path) -> Settings {
    Settings {
        venv: Some(venv().to_owned()),
        supervisor: PathBuf::from(env!("CARGO_BIN_EXE_pressluft")),
        grace: Duration::from_secs(2),
        ..Settings::new(state)
    }
}

/// Actions that a play can do by itself: it starts no programs. They are beside the playbook, where Ansible looks.
const ACTIONS: [(&str, &str); 2] = [
    (
        "stubborn.py",
        r#"
import os, signal, time
from ansible.plugins.action import ActionBase

class ActionModule(ActionBase):
    """A process that hides in a session of its own and does not hear what it is asked for."""

    def run(self, tmp=None, task_vars=None):
        super().run(tmp, task_vars)
        if os.fork() == 0:
            os.setsid()
            for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
                signal.signal(number, signal.SIG_IGN)
            open(os.path.join(os.environ["TMPDIR"], "stubborn"), "w").close()
            while True:
                time.sleep(1)
        os.wait()
        return {}
"#,
    ),
    (
        "ignored.py",
        r#"
import signal
from ansible.plugins.action import ActionBase

class ActionModule(ActionBase):
    """The numbers of the signals that this process does not hear, on the node."""

    def run(self, tmp=None, task_vars=None):
        super().run(tmp, task_vars)
        ignored = [n for n in (1, 2, 3, 15) if signal.getsignal(n) == signal.SIG_IGN]
        self._low_level_execute_command("echo ignored %s >/tmp/ignored" % ignored)
        return {}
"#,
    ),
];

/// What one run showed.
pub(crate) struct Shown {
    pub(crate) outcome: AttemptOutcome,
    pub(crate) events: Vec<Event>,
}

impl Bench {
    pub(crate) fn new(mode: AnsibleEngine) -> Self {
        let state = tempfile::tempdir().expect("a directory");
        let engine = Engine::locate(settings(state.path())).expect("an engine");
        Self {
            state,
            engine,
            mode,
        }
    }

    /// The process that has Ansible loaded, while there is one.
    pub(crate) fn server(&self) -> Option<i32> {
        let found = processes_with(&format!("{}/", self.state.path().display()));
        found.iter().find_map(|line| {
            let pid = line.split(' ').next()?;
            let name = std::fs::read_to_string(format!("/proc/{pid}/comm")).ok()?;
            (line.contains("/engine/server.py") && !name.starts_with("ansible-playb"))
                .then(|| pid.parse().ok())?
        })
    }

    /// An invocation of a playbook with these tasks on the node.
    pub(crate) fn invocation(&self, node: &Node, tasks: &str) -> Invocation {
        let text = format!(
            "- hosts: all\n  gather_facts: false\n  tasks:\n{}",
            indented(tasks)
        );
        let path = self.state.path().join("play.yml");
        std::fs::write(&path, text).expect("written");
        let actions = self.state.path().join("action_plugins");
        std::fs::create_dir_all(&actions).expect("made");
        for (name, text) in ACTIONS {
            std::fs::write(actions.join(name), text).expect("written");
        }
        Invocation {
            job: "0199-test".to_owned(),
            attempt: 1,
            playbook: Playbook::File(path),
            host: Host {
                name: "web-1".to_owned(),
                address: node.address.clone(),
                port: 22,
                user: "root".to_owned(),
                key: Some(node.key.clone()),
                host_key: Some(node.host_key.clone()),
            },
            vars: Map::new(),
            secrets: Map::new(),
            tree: None,
            files: vec![actions],
            check: false,
            diff: false,
            verbosity: 0,
            timeout: Duration::from_secs(60),
            engine: self.mode,
        }
    }

    pub(crate) fn run(&self, invocation: &Invocation) -> Shown {
        self.run_with(invocation, &Cancel::default(), &mut |_| {})
    }

    pub(crate) fn run_with(
        &self,
        invocation: &Invocation,
        cancel: &Cancel,
        on_event: &mut dyn FnMut(&Event),
    ) -> Shown {
        let mut events = Vec::new();
        let redact = |text: &str| text.replace("hunter2", "(sensitive)");
        let outcome = self.engine.run(
            invocation,
            &redact,
            &mut |supervisor| {
                // The kernel says that a program has begun a little before it knows its arguments.
                let line = || std::fs::read_to_string(format!("/proc/{supervisor}/cmdline"));
                let is_seen = || line().expect("it runs").contains("supervise");
                assert!(within(Duration::from_secs(10), is_seen), "{:?}", line());
            },
            &mut |event| {
                on_event(&event);
                events.push(event);
            },
            cancel,
        );
        let run = self.state.path().join("run");
        let left = std::fs::read_dir(run)
            .map(Iterator::count)
            .unwrap_or_default();
        assert_eq!(left, 0, "the directory of the attempt is still there");
        Shown { outcome, events }
    }
}

impl Shown {
    pub(crate) fn code(&self) -> Option<ErrorCode> {
        self.outcome.failure.as_ref().map(|failure| failure.code)
    }

    pub(crate) fn tasks(&self) -> Vec<&TaskResult> {
        self.events
            .iter()
            .filter_map(|event| match event {
                Event::Task(result) => Some(result.as_ref()),
                _ => None,
            })
            .collect()
    }
}

fn indented(tasks: &str) -> String {
    tasks.lines().map(|line| format!("    {line}\n")).collect()
}

/// Processes whose command line holds `text`.
pub(crate) fn processes_with(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir("/proc").expect("proc").flatten() {
        let Ok(line) = std::fs::read(entry.path().join("cmdline")) else {
            continue;
        };
        let line = String::from_utf8_lossy(&line).replace('\0', " ");
        if line.contains(text) {
            found.push(format!("{} {line}", entry.file_name().to_string_lossy()));
        }
    }
    found
}

/// Waits until `done` or for `limit`, and says whether it was done.
pub(crate) fn within(limit: Duration, mut done: impl FnMut() -> bool) -> bool {
    let end = std::time::Instant::now() + limit;
    while std::time::Instant::now() < end {
        if done() {
            return true;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    done()
}
