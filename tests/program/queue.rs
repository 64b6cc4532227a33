//! Commands about queued jobs, where nothing runs them.

use std::fs::{self, File};

use serde_json::Value;

use super::{Path, Program};

impl Program {
    /// The quickstart's five jobs, queued.
    fn queued() -> (Self, String) {
        let program = Self::new();
        let repo = program.repo("quickstart").display().to_string();
        program
            .run(&["apply", "--no-wait", "--auto-approve", &repo])
            .expect(0);
        (program, repo)
    }

    /// The jobs, the oldest first.
    fn jobs(&self) -> Vec<Value> {
        let listed = self.run(&["jobs", "list", "-o", "json"]).expect(0);
        let mut jobs: Vec<Value> = serde_json::from_str(&listed.stdout).expect("JSON");
        jobs.reverse();
        jobs
    }

    fn statuses(&self) -> Vec<String> {
        let status = |job: &Value| {
            let code = job["error_code"].as_str().unwrap_or("");
            format!("{} {code}", job["status"].as_str().unwrap_or(""))
                .trim()
                .to_owned()
        };
        self.jobs().iter().map(status).collect()
    }
}

fn id(job: &Value) -> &str {
    job["id"].as_str().expect("an id")
}

#[test]
fn a_cancelled_job_takes_with_it_what_waits_for_it_and_both_come_back() {
    let (program, _) = Program::queued();
    let jobs = program.jobs();
    // All others wait for the node.
    let node = id(&jobs[0]);
    program
        .run(&["jobs", "cancel", node, "--reason", "not today"])
        .expect(0);
    let waited = "cancelled DEPENDENCY_FAILED";
    assert_eq!(
        program.statuses(),
        [
            "cancelled CANCELLED_BY_USER",
            waited,
            waited,
            waited,
            waited
        ]
    );
    program.run(&["jobs", "cancel", node]).expect(1);
    // Also of one that only waited: it comes back with what it waits for.
    let ran = program.run(&["jobs", "retry", id(&jobs[3])]).expect(0);
    assert_eq!(ran.stdout.lines().count(), 5, "{}", ran.stdout);
    assert!(ran.stderr.contains("no worker runs"), "{}", ran.stderr);
    let all = program.jobs();
    for (old, new) in all[..5].iter().zip(&all[5..]) {
        for field in ["job_type", "resource", "node_id"] {
            assert_eq!(old[field], new[field]);
        }
        assert_eq!(new["status"], "queued");
    }
    program.run(&["jobs", "cancel", id(&all[6])]).expect(0);
    let ran = program.run(&["jobs", "retry", id(&all[6])]).expect(1);
    assert!(ran.stderr.contains("which is queued"), "{}", ran.stderr);
    // What waits may run at once, too.
    program.run(&["jobs", "retry", id(&all[5])]).expect(0);
    program.run(&["audit", "verify"]).expect(0);
}

/// Queues what another address of the node asks for.
fn want_another_host(program: &Program, repo: &str) {
    let nodes = Path::new(repo).join("nodes/web-1.yaml");
    let text = fs::read_to_string(&nodes).expect("the node");
    fs::write(&nodes, text.replace("203.0.113.10", "203.0.113.66")).expect("a file");
    program
        .run(&["apply", "--no-wait", "--auto-approve", repo])
        .expect(0);
}

#[test]
fn a_plan_of_the_whole_fleet_cancels_what_it_makes_pointless() {
    let (program, repo) = Program::queued();
    // The site is not wanted any more, so the new plan has no job for it.
    fs::remove_dir_all(Path::new(&repo).join("sites")).expect("removed");
    want_another_host(&program, &repo);
    let statuses = program.statuses();
    assert_eq!(statuses.len(), 6, "{statuses:?}");
    assert!(
        statuses[..5]
            .iter()
            .all(|status| status.starts_with("cancelled")),
        "{statuses:?}"
    );
    assert_eq!(statuses[5], "queued");
    // What was given up is never run again, neither by itself nor through what needs it.
    let jobs = program.jobs();
    for job in &jobs[..5] {
        let ran = program.run(&["jobs", "retry", id(job)]).expect(5);
        assert!(ran.stderr.contains("not wanted"), "{}", ran.stderr);
        assert!(ran.stderr.contains("pressluft plan"), "{}", ran.stderr);
    }
    assert_eq!(program.jobs().len(), 6);
}

#[test]
fn a_job_that_brings_about_what_is_not_wanted_any_more_is_not_repeated() {
    let (program, repo) = Program::queued();
    let jobs = program.jobs();
    program.run(&["jobs", "cancel", id(&jobs[0])]).expect(0);
    // Something else is wanted of the node, and nothing has been queued for it yet.
    want_another_host(&program, &repo);
    let newer = program.jobs();
    program.run(&["jobs", "cancel", id(&newer[5])]).expect(0);
    let ran = program.run(&["jobs", "retry", id(&jobs[0])]).expect(5);
    assert!(ran.stderr.contains("not wanted"), "{}", ran.stderr);
    // The newer one may be.
    program.run(&["jobs", "retry", id(&newer[5])]).expect(0);
}

#[test]
fn a_job_that_would_also_make_what_nobody_asks_for_is_not_repeated() {
    let (program, repo) = Program::queued();
    let jobs = program.jobs();
    let made = jobs
        .iter()
        .find(|job| job["job_type"] == "site_create")
        .expect("a site is made");
    program.run(&["jobs", "cancel", id(made)]).expect(0);
    // The site is asked for as before, its production environment by another name.
    let site = Path::new(&repo).join("sites/bakery.yaml");
    let text = fs::read_to_string(&site).expect("read");
    let other = text
        .replace("name: production", "name: live")
        .replace("from: production", "from: live");
    assert_ne!(text, other);
    fs::write(&site, other).expect("written");
    program
        .run(&["apply", "--no-wait", "--auto-approve", &repo])
        .expect(0);
    let ran = program.run(&["jobs", "retry", id(made)]).expect(5);
    assert!(ran.stderr.contains("not wanted"), "{}", ran.stderr);
}

#[test]
fn a_second_worker_is_told_who_the_first_one_is() {
    let program = Program::new();
    fs::create_dir_all(program.state()).expect("a directory");
    let path = program.state().join("worker.lock");
    let holder = r#"{"pid":4711,"since":"2026-02-22T12:00:00Z","host":"control"}"#;
    fs::write(&path, holder).expect("a file");
    let lock = File::open(&path).expect("a file");
    lock.lock().expect("locked");
    let ran = program.run(&["worker"]).expect(6);
    for word in ["pid 4711", "`control`", "2026-02-22T12:00:00Z"] {
        assert!(ran.stderr.contains(word), "{}", ran.stderr);
    }
}

#[test]
fn only_what_failed_and_has_a_check_is_reset() {
    let (program, _) = Program::queued();
    let ran = program.run(&["reset", "node/web-1"]).expect(64);
    assert!(ran.stderr.contains("--rerun"), "{}", ran.stderr);
    let ran = program.run(&["reset", "env/bakery/production"]).expect(1);
    assert!(ran.stderr.contains("is not recorded"), "{}", ran.stderr);
}

#[test]
fn limits_are_spans_of_time_and_job_types() {
    let program = Program::new();
    fs::create_dir_all(program.state()).expect("a directory");
    let settings = program.state().join("pressluft.toml");
    for (text, said) in [
        ("[timeouts]\nnode_provison = \"40m\"\n", "no job type"),
        ("[timeouts]\ndefault = \"soon\"\n", "not a span of time"),
        ("[timeouts]\ndefault = \"0s\"\n", "no time at all"),
        ("[timeouts]\ndefault = \"31d\"\n", "longer than 30 days"),
    ] {
        fs::write(&settings, text).expect("a file");
        let ran = program.run(&["jobs", "list"]).expect(64);
        assert!(ran.stderr.contains(said), "{}", ran.stderr);
    }
    let text = "drain_timeout = \"1m\"\n[timeouts]\ndefault = \"20m\"\nenv_configure = \"5m\"\n";
    fs::write(&settings, text).expect("a file");
    program.run(&["jobs", "list"]).expect(0);
}

#[test]
fn what_a_later_commit_takes_back_is_not_carried_out() {
    let (program, repo) = Program::queued();
    let site = Path::new(&repo).join("sites/bakery.yaml");
    let text = fs::read_to_string(&site).expect("a site");
    let (kept, _staging) = text.rsplit_once("---").expect("two environments");
    fs::write(&site, kept).expect("written");
    // All that is wanted now is queued already.
    let apply = ["apply", "--no-wait", "--auto-approve", &repo];
    let text = program.run(&apply).expect(0).stdout;
    assert!(text.contains("0 jobs queued, 3 are queued"), "{text}");
    assert!(text.contains("2 queued jobs superseded"), "{text}");
    let resources = |status: &str| -> Vec<String> {
        let jobs = program.jobs().into_iter();
        jobs.filter(|job| job["status"] == status)
            .map(|job| job["resource"].as_str().expect("a resource").to_owned())
            .collect()
    };
    let staging = "env/bakery/staging";
    assert_eq!(resources("cancelled"), [staging, staging]);
    assert_eq!(resources("queued").len(), 3);

    // Nothing differs from the record any more, but something is queued.
    fs::remove_file(&site).expect("removed");
    fs::remove_file(Path::new(&repo).join("nodes/web-1.yaml")).expect("removed");
    // Nobody was asked.
    let asked = program.run(&["apply", "--no-wait", &repo]).expect(64);
    assert!(asked.stderr.contains("cancels them"), "{}", asked.stderr);
    assert_eq!(resources("queued").len(), 3);
    let text = program.run(&apply).expect(0).stdout;
    assert!(text.contains("3 queued jobs superseded"), "{text}");
    assert_eq!(resources("queued"), [] as [String; 0]);
    let text = program.run(&apply).expect(0).stdout;
    assert!(!text.contains("superseded"), "{text}");
    program.run(&["audit", "verify"]).expect(0);
    program.run(&["db", "check"]).expect(0);
}
