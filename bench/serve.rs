//! What `serve` costs on a fleet of 20,000 environments where nothing is to do, how long a push takes
//! there to become a job, and on one of 1,000 to become a job that runs: `cargo bench --bench serve
//! [ENVIRONMENTS]`. The last one needs an environment with Ansible, as `tests/ansible/venv test` makes it.

#![expect(
    clippy::disallowed_methods,
    clippy::print_stdout,
    clippy::expect_used,
    reason = "a bench starts programs, prints its result, and what fails ends it"
)]

use std::fmt::Write as _;
use std::fs;
use std::io::{BufRead, BufReader, Lines};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use pressluft::core::change::SpecPatch;
use pressluft::core::recorded::ResourceStatus;
use pressluft::core::secret_owner::Reserved;
use pressluft::git::{Loaded, load_desired, open_working_tree};
use pressluft::store::{RecordPatch, Revision, StateChange, Store};
use serde_json::Value;

/// For so long the daemon has nothing to do.
const IDLE: Duration = Duration::from_secs(30);
/// Ticks of the processor in a second, as the kernel counts them for programs.
const TICKS: f64 = 100.0;

fn main() -> ExitCode {
    let environments = std::env::args()
        .skip(1)
        .find_map(|word| word.parse().ok())
        .unwrap_or(20_000);
    let directory = tempfile::tempdir().expect("a directory");
    let root = directory.path();
    let resources = prepare(root, environments);
    println!("{environments} environments, {resources} resources as they are asked for");

    let mut daemon = Daemon::start(root, &["--no-jobs"]);
    let first = daemon.pass("the first pass", &|line| line["work"] == "planned");
    let idle = daemon.pass("a pass", &|line| line["work"] == "unchanged");
    let before = processor(&daemon.child);
    std::thread::sleep(IDLE);
    let used = (processor(&daemon.child) - before) / TICKS / IDLE.as_secs_f64() * 100.0;
    let memory = memory(&daemon.child);
    let pushed = push(root);
    daemon.pass("the pass of the push", &|line| {
        line["queued"].as_u64().is_some_and(|jobs| jobs > 0)
    });
    let queued = pushed.elapsed().as_secs_f64();
    drop(daemon);
    let started = until_started();

    let mut all_met = true;
    let mut show = |name: &str, value: f64, unit: &str, target: f64| {
        let met = value < target;
        all_met &= met;
        let word = if met { "PASS" } else { "MISS" };
        println!("{name:26}{value:10.3} {unit:3} target {target} {word}");
    };
    println!("first reconcile           {first:10.3} s");
    show("one without changes", idle / first * 100.0, "%", 10.0);
    show("memory of idle serve", memory, "MB", 150.0);
    show("processor of idle serve", used, "%", 0.5);
    show("push to job in the queue", queued, "s", 1.0);
    match started {
        Some(started) => show("push to job that runs", started, "s", 1.0),
        None => println!("push to job that runs     not measured: no target/ansible-venv"),
    }
    if all_met {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

/// From a push to a fleet of 1,000 environments until its first job has started.
fn until_started() -> Option<f64> {
    let venv = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/ansible-venv");
    if !venv.is_dir() {
        return None;
    }
    let directory = tempfile::tempdir().expect("a directory");
    let root = directory.path();
    prepare(root, 1_000);
    let mut daemon = Daemon::start(root, &[]);
    daemon.pass("a pass", &|line| line["work"] == "unchanged");
    let pushed = push(root);
    daemon.line("a job that runs", &|line| {
        line["type"] == "job_started" && line["job_type"] != "drift_check"
    });
    Some(pushed.elapsed().as_secs_f64())
}

/// A fleet in a bare repository, with a clone to push from, and a record in which it is as it is asked
/// for; how many resources.
fn prepare(root: &Path, environments: usize) -> usize {
    write_fleet(&root.join("clone"), environments);
    let bare = bare(root);
    git(root, &["clone", "-q", "--bare", "clone", &bare]);
    git(&root.join("clone"), &["remote", "add", "bare", &bare]);
    record(&root.join("clone"), &root.join("state"))
}

fn bare(root: &Path) -> String {
    root.join("fleet.git").display().to_string()
}

/// Pushes a change of one site; when that began.
fn push(root: &Path) -> Instant {
    let site = root.join("clone/sites/s0.yaml");
    let text = fs::read_to_string(&site).expect("read");
    fs::write(&site, text.replace("title: S0", "title: Another")).expect("written");
    git(&root.join("clone"), &["commit", "-qam", "Another title"]);
    let pushed = Instant::now();
    git(&root.join("clone"), &["push", "-q", "bare", "main"]);
    pushed
}

/// `serve` with the lines that it prints; killed when it is not needed any more.
struct Daemon {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Daemon {
    fn start(root: &Path, more: &[&str]) -> Self {
        let venv = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/ansible-venv");
        let mut child = Command::new(env!("CARGO_BIN_EXE_pressluft"))
            .args(["serve", "--json", "--repo", &bare(root), "--ref", "main"])
            .args(more)
            .env("PRESSLUFT_STATE_DIR", root.join("state"))
            .env("PRESSLUFT_LISTEN_ADDR", "127.0.0.1:0")
            .env("PRESSLUFT_ANSIBLE_VENV", venv)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .expect("serve starts");
        let lines = BufReader::new(child.stdout.take().expect("a pipe")).lines();
        Self { child, lines }
    }

    /// The next line that is the one.
    fn line(&mut self, what: &str, is_it: &dyn Fn(&Value) -> bool) -> Value {
        loop {
            let line = self.lines.next().expect(what).expect(what);
            let line: Value = serde_json::from_str(&line).expect("JSON");
            if is_it(&line) {
                return line;
            }
        }
    }

    /// How many seconds the next reconcile took that is the one.
    fn pass(&mut self, what: &str, is_it: &dyn Fn(&Value) -> bool) -> f64 {
        let line = self.line(what, &|line| line["type"] == "reconciled" && is_it(line));
        line["seconds"].as_f64().expect("a number")
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// Two environments for each site, fifty sites on each node.
fn write_fleet(root: &Path, environments: usize) {
    fs::create_dir_all(root.join("sites")).expect("made");
    let sites = environments / 2;
    let nodes = sites.div_ceil(50);
    let mut fleet = "kind: Fleet\nversion: 1\nname: big\nreconcile: { interval: 5s }\n".to_owned();
    for node in 0..nodes {
        let (high, low) = (node / 250 + 1, node % 250 + 1);
        // Nobody answers there.
        write!(
            fleet,
            "---\nkind: Node\nname: web-{node}\nhost: 127.1.{high}.{low}\nssh: {{ port: 9 }}\n\
             php: {{ versions: [\"8.2\"], ram_budget: 500GiB }}\n"
        )
        .expect("written");
    }
    fs::write(root.join("pressluft.yaml"), fleet).expect("written");
    for site in 0..sites {
        let node = site % nodes;
        let text = format!(
            "kind: Site\nname: s{site}\ntitle: S{site}\nnode: web-{node}\n\
             admin: {{ user: ops, email: ops@studio.example }}\nwordpress: {{ version: \"6.8.2\" }}\n\
             ---\nkind: Environment\nsite: s{site}\nname: production\ntype: production\n\
             ---\nkind: Environment\nsite: s{site}\nname: staging\ntype: staging\nfrom: production\n"
        );
        fs::write(root.join(format!("sites/s{site}.yaml")), text).expect("written");
    }
    git(root, &["init", "-q", "-b", "main"]);
    git(root, &["add", "-A"]);
    git(root, &["commit", "-qm", "Big"]);
}

/// Records everything as the documents ask for it; how many resources.
fn record(clone: &Path, state: &Path) -> usize {
    let snapshot = open_working_tree(clone, None).expect("read");
    let commit = snapshot.revision.commit.clone().expect("a commit");
    let Loaded::Valid(desired, _) =
        load_desired(snapshot, None, &Reserved::default()).expect("loaded")
    else {
        panic!("the fleet is valid");
    };
    let mut store = Store::open(&state.join("pressluft.db")).expect("opened");
    let now = Timestamp::from_second(1_772_000_000).expect("a time");
    let revision = Revision {
        id: commit.clone(),
        author: None,
        message: None,
        committed_at: None,
        dirty: false,
    };
    store.save_revision(&revision, now).expect("saved");
    let records: Vec<StateChange> = desired
        .ids()
        .map(|id| {
            let spec = desired.spec(id).expect("read").expect("is there");
            let site = id.site().map(|name| format!("site/{name}"));
            let site = site.and_then(|site| desired.spec(&site.parse().ok()?).ok().flatten());
            StateChange::Patch(Box::new(RecordPatch {
                id: id.clone(),
                patch: SpecPatch::of(&spec),
                status: Some(ResourceStatus::Active),
                node: site.and_then(|site| site.str("node").map(str::to_owned)),
                revision: commit.clone(),
                source: desired.source(id),
                fingerprints: std::collections::BTreeMap::new(),
            }))
        })
        .collect();
    store
        .set_recorded(&records, &[], "adopted", "bench", now)
        .expect("recorded");
    records.len()
}

fn git(directory: &Path, words: &[&str]) {
    let status = Command::new("git")
        .current_dir(directory)
        .args([
            "-c",
            "user.name=Robin",
            "-c",
            "user.email=robin@studio.example",
        ])
        .args(words)
        .status();
    assert!(status.expect("git runs").success(), "git {words:?}");
}

/// The resident memory in MB.
fn memory(child: &Child) -> f64 {
    let status = fs::read_to_string(format!("/proc/{}/status", child.id())).expect("it lives");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kilobytes = line.and_then(|line| line.split_whitespace().next()?.parse::<f64>().ok());
    kilobytes.expect("a number") * 1024.0 / 1e6
}

/// The processor time so far, in ticks.
fn processor(child: &Child) -> f64 {
    let stat = fs::read_to_string(format!("/proc/{}/stat", child.id())).expect("it lives");
    let fields = stat.rsplit(')').next().unwrap_or_default();
    let ticks = fields.split_whitespace().skip(11).take(2);
    ticks.filter_map(|field| field.parse::<f64>().ok()).sum()
}
