//! A commit, a saved plan or a queued job that asks for secrets that are not its own. None of it
//! gets as far as a host, so these tests need none.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use pressluft::core::leaf::Leaf;
use pressluft::daemon::{self, Prepared};
use pressluft::store::Store;
use serde_json::{Value, json};

use super::Program;

const NODE: &str = "kind: Node\nname: web-1\nhost: 127.0.0.1\n\
                    ssh: { port: 1, key: \"secret:nodes/web-1/ssh\" }\n";
const SITE: &str = "kind: Site\nname: acme\nnode: web-1\nadmin: { email: owner@acme.example }\n---\n\
                    kind: Environment\nsite: acme\nname: production\ntype: production\n";

/// The names of what a site of somebody else could want.
const FOREIGN: [&str; 4] = [
    "sites/bakery/stripe",
    "nodes/web-1/ssh",
    "backups/restic",
    "control/git/token",
];

impl Program {
    /// A fleet repo of one node and one site, with something added to each document.
    fn fleet(&self, fleet: &str, environment: &str) -> String {
        let repo = self.dir.path().join("fleet");
        let put = |path: &str, text: String| {
            let path = repo.join(path);
            fs::create_dir_all(path.parent().expect("a parent")).expect("made");
            fs::write(path, text).expect("written");
        };
        put(
            "pressluft.yaml",
            format!("kind: Fleet\nversion: 1\nname: studio\n{fleet}"),
        );
        put("nodes/web-1.yaml", NODE.to_owned());
        put("sites/acme.yaml", format!("{SITE}{environment}"));
        repo.display().to_string()
    }

    fn settings(&self, text: &str) {
        fs::create_dir_all(self.state()).expect("made");
        fs::write(self.state().join("pressluft.toml"), text).expect("written");
    }

    /// The codes of what is wrong with the fleet.
    fn codes(&self, repo: &str) -> Vec<String> {
        let ran = self.run(&["validate", "--json", repo]);
        let lines = ran.lines();
        let found = lines.iter().filter(|line| line["type"] == "diagnostic");
        found
            .map(|line| line["code"].as_str().unwrap_or_default().to_owned())
            .collect()
    }

    /// A directory that passes for an environment with Ansible, of which nothing is started.
    fn venv(&self) -> PathBuf {
        let venv = self.dir.path().join("venv");
        fs::create_dir_all(venv.join("bin")).expect("made");
        fs::write(venv.join("bin/ansible-playbook"), "").expect("written");
        let package = "lib/python3/site-packages/ansible_core-2.19.14.dist-info";
        fs::create_dir_all(venv.join(package)).expect("made");
        venv
    }

    /// The plan of the fleet in `path`.
    fn saved(&self, repo: &str, path: &Path) -> Prepared {
        let path = path.display().to_string();
        self.run(&["plan", "--out", &path, repo]).expect(0);
        daemon::load_plan(Path::new(&path)).expect("it is a plan")
    }
}

/// Changes what a job of the plan makes of a resource, as whoever can write the file would: with its
/// right digest.
fn replace(prepared: &mut Prepared, job: &str, of: &str, path: &[&str], value: Value) {
    let mut jobs = prepared.plan.jobs.iter_mut();
    let job = jobs.find(|planned| planned.id == job).expect("planned");
    let mut effects = job.effects.iter_mut();
    let effect = effects.find(|effect| effect.resource.to_string() == of);
    let patch = &mut effect.expect("it makes that").patch;
    patch.set.retain(|leaf| leaf.0 != path);
    let path = path.iter().map(|key| (*key).to_owned()).collect();
    patch.set.push(Leaf::new((path, value)));
}

/// The job of the plan that makes the site.
fn of_site(prepared: &Prepared) -> String {
    let mut jobs = prepared.plan.jobs.iter();
    let job = jobs.find(|job| job.resource.to_string() == "site/acme");
    job.expect("the site is new").id.clone()
}

#[test]
fn a_commit_with_a_secret_of_somebody_else_is_neither_planned_nor_applied() {
    let program = Program::new();
    for foreign in FOREIGN {
        for text in [
            format!("constants: {{ KEY: \"secret:{foreign}\" }}\n"),
            format!("options: {{ key: \"secret:{foreign}\" }}\n"),
            format!("php: {{ ini: {{ \"user_agent\": \"secret:{foreign}\" }} }}\n"),
            format!("http: {{ basic_auth: {{ user: a, password: \"secret:{foreign}\" }} }}\n"),
            format!("safety: {{ basic_auth: \"secret:{foreign}\" }}\n"),
        ] {
            let repo = program.fleet("", &text);
            assert_eq!(program.codes(&repo), ["secret-not-owned"], "{text}");
            let ran = program.run(&["plan", &repo]).expect(3);
            let owner = match foreign.split_once('/') {
                Some(("sites", _)) => "belongs to `site/bakery`",
                Some(("nodes", _)) => "belongs to `node/web-1`",
                Some(("control", _)) => "belongs to the control plane",
                _ => "belongs to the fleet",
            };
            assert!(ran.stderr.contains(owner), "{}", ran.stderr);
            program
                .run(&["apply", "--no-wait", "--auto-approve", &repo])
                .expect(3);
        }
    }
    let jobs = program.run(&["jobs", "list", "-o", "json"]).expect(0);
    assert_eq!(jobs.stdout.trim(), "[]");
}

/// PHP loads some of these before any code of the site runs, and wherever it is started.
#[test]
fn a_setting_of_php_that_loads_code_is_refused() {
    let program = Program::new();
    for key in [
        "ffi.preload",
        "FFI.PRELOAD",
        "opcache.preload",
        "opcache.file_cache",
        "extension",
        "mail.log",
        "auto_prepend_file",
        "session.save_handler",
        "curl.cainfo",
    ] {
        let text = format!("php: {{ ini: {{ \"{key}\": /tmp/x }} }}\n");
        let repo = program.fleet("", &text);
        let codes = program.codes(&repo);
        assert_eq!(codes, ["invalid-value"], "`{key}` is valid");
    }
    let repo = program.fleet("", "php: { ini: { max_input_vars: 5000 } }\n");
    assert_eq!(program.codes(&repo), Vec::<String>::new());
}

#[test]
fn what_settings_use_is_nobodys_whatever_the_fleet_grants() {
    let program = Program::new();
    let grant = "secrets: { grants: [{ secret: git/status, to: [sites] }] }\n\
                 notify: [{ webhook: \"secret:git/status\" }]\n";
    let repo = program.fleet(grant, "constants: { KEY: \"secret:git/status\" }\n");
    assert_eq!(program.codes(&repo), [""; 0]);
    for settings in [
        "[git]\ntoken = \"secret:git/status\"\n",
        "[git]\nssh_key = \"secret:git/status\"\n",
        "[webhooks]\ngithub = \"secret:git/status\"\n",
        "[git.status]\nhost = \"github\"\napi = \"https://api.example\"\n\
         repository = \"studio/fleet\"\ntoken = \"secret:git/status\"\n",
    ] {
        program.settings(settings);
        program.run(&["plan", &repo]).expect(3);
        let mut codes = program.codes(&repo);
        codes.sort();
        assert_eq!(
            codes,
            ["reserved-secret", "secret-not-owned", "secret-not-owned"]
        );
    }
}

#[test]
fn what_was_found_right_is_not_right_any_more_with_other_settings() {
    let program = Program::new();
    let repo = program.fleet("", "constants: { KEY: \"secret:sites/acme/hook\" }\n");
    program.settings("");
    // The first one keeps what it found, and the second one reads that alone.
    program.run(&["plan", &repo]).expect(0);
    program.run(&["plan", &repo]).expect(0);
    program.settings("[webhooks]\ngithub = \"secret:sites/acme/hook\"\n");
    let ran = program.run(&["plan", &repo]).expect(3);
    assert!(
        ran.stderr.contains("whose settings use it"),
        "{}",
        ran.stderr
    );
}

#[test]
fn a_saved_plan_that_asks_for_more_is_refused() {
    let program = Program::new();
    let repo = program.fleet("", "constants: { KEY: \"secret:sites/acme/key\" }\n");
    let path = program.dir.path().join("plan");
    let honest = program.saved(&repo, &path);
    let site = of_site(&honest);
    let refused = |prepared: &Prepared, what: &str| {
        daemon::save_plan(&path, prepared).expect("written");
        let text = path.display().to_string();
        let ran = program.run(&["apply", "--no-wait", &text]).expect(1);
        assert!(ran.stderr.contains(what), "{what}: {}", ran.stderr);
    };

    for foreign in FOREIGN {
        let mut other = honest.clone();
        let reference = json!(format!("secret:{foreign}"));
        let production = "env/acme/production";
        replace(
            &mut other,
            &site,
            production,
            &["constants", "KEY"],
            reference,
        );
        refused(&other, &format!("`{foreign}`"));
    }

    let mut other = honest.clone();
    replace(
        &mut other,
        &site,
        "env/acme/production",
        &["site"],
        json!("bakery"),
    );
    refused(&other, "`env/bakery/production`");

    daemon::save_plan(&path, &honest).expect("written");
    let text = path.display().to_string();
    program.run(&["apply", "--no-wait", &text]).expect(0);
}

#[test]
fn a_queued_job_that_asks_for_more_ends_before_anything_is_opened() {
    let program = Program::new();
    let repo = program.fleet("", "");
    let path = program.dir.path().join("plan");
    let mut prepared = program.saved(&repo, &path);
    let node = prepared.plan.jobs[0].id.clone();
    let foreign = json!("secret:sites/acme/key");
    replace(&mut prepared, &node, "node/web-1", &["ssh", "key"], foreign);
    program.run(&["secret", "keygen"]).expect(0);
    let mut store = Store::open(&program.state().join("pressluft.db")).expect("opened");
    let now = "2026-02-22T12:00:00Z".parse().expect("a time");
    daemon::enqueue(&mut store, &prepared, "ops", now).expect("queued");
    let mut worker = Command::new(env!("CARGO_BIN_EXE_pressluft"))
        .arg("worker")
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .env("HOME", program.dir.path())
        .env("PRESSLUFT_STATE_DIR", program.state())
        .env("PRESSLUFT_ANSIBLE_VENV", program.venv())
        .spawn()
        .expect("started");
    let begun = Instant::now();
    let job = loop {
        let listed = program.run(&["jobs", "list", "-o", "json"]).expect(0);
        let jobs: Vec<Value> = serde_json::from_str(&listed.stdout).expect("JSON");
        let job = jobs.iter().find(|job| job["job_type"] == "node_provision");
        let job = job.expect("it was queued").clone();
        let is_over = !matches!(job["status"].as_str(), Some("queued" | "running"));
        if is_over || begun.elapsed() > Duration::from_secs(30) {
            break job;
        }
        thread::sleep(Duration::from_millis(100));
    };
    let pid = i32::try_from(worker.id()).expect("a pid");
    kill(Pid::from_raw(pid), Signal::SIGTERM).expect("ended");
    worker.wait().expect("ended");
    assert_eq!(job["status"], "failed", "{job}");
    assert_eq!(job["error_code"], "SECRET_UNAVAILABLE", "{job}");
    let message = job["error_message"].as_str().unwrap_or_default();
    assert!(
        message.contains("the secret `sites/acme/key` belongs to `site/acme`"),
        "{message}"
    );
}
