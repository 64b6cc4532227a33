//! From a git repository to running WordPress sites, and what must not happen on the way.

use pressluft::clock;
use pressluft::secrets::{EnvironmentSecrets, Identity, environment_secrets};
use pressluft::store::Store;
use serde_json::Value;

use crate::support::World;

const HOSTILE: &str = "{{ lookup('pipe','touch /tmp/pwned') }}";

fn fleet(world: &World) {
    world.write(
        "pressluft.yaml",
        "kind: Fleet\nversion: 1\nname: converge\nSOURCES\n",
    );
    world.write(
        "nodes.yaml",
        "kind: Node\nname: web-1\nhost: HOST1\n---\nkind: Node\nname: web-2\nhost: HOST2\n",
    );
    for (site, node) in [("acme", "web-1"), ("birch", "web-1"), ("cedar", "web-2")] {
        world.write(
            &format!("sites/{site}.yaml"),
            &format!(
                "kind: Site\nname: {site}\ntitle: \"The {site} {HOSTILE}\"\nnode: {node}\n\
                 admin: {{user: owner, email: owner@{site}.example}}\n---\n\
                 kind: Environment\nsite: {site}\nname: production\ntype: production\n\
                 php: {{memory: 128M, workers: 2}}\n\
                 constants: {{ODDITY: \"a'b\\\\\\\\c {HOSTILE}\"}}\n"
            ),
        );
    }
    world.write(
        "sites/acme-staging.yaml",
        "kind: Environment\nsite: acme\nname: staging\ntype: staging\nfrom: production\n\
         safety: {basic_auth: \"secret:sites/acme/staging-login\"}\n",
    );
    world.commit("A fleet");
}

fn dashed(ip: &str) -> String {
    ip.replace('.', "-")
}

fn moment(job: &Value, field: &str) -> String {
    job[field]
        .as_str()
        .unwrap_or_else(|| panic!("no {field} in {job}"))
        .to_owned()
}

/// Whether two jobs ran at the same time, by what is recorded.
fn overlap(a: &Value, b: &Value) -> bool {
    moment(a, "started_at") < moment(b, "finished_at")
        && moment(b, "started_at") < moment(a, "finished_at")
}

#[test]
fn a_fleet_converges_and_stays() {
    let world = World::new("conv", 2);
    fleet(&world);
    world.pressluft(&["secret", "keygen"]).expect(0);
    let secret = "preview:s3cr3t-pa55-Phrase";
    std::fs::write(world.dir.path().join("value"), secret).expect("a file");
    let file = world.dir.path().join("value").display().to_string();
    world
        .pressluft(&[
            "secret",
            "set",
            "sites/acme/staging-login",
            "--from-file",
            &file,
        ])
        .expect(0);

    let first = world.pressluft(&["plan", "--json"]).expect(0);
    assert_eq!(
        first.stdout,
        world.pressluft(&["plan", "--json"]).expect(0).stdout
    );
    world.pressluft(&["plan", "--detailed-exitcode"]).expect(2);

    world.pressluft(&["apply", "--auto-approve"]).expect(0);
    let plan = world.pressluft(&["plan", "--detailed-exitcode"]).expect(0);
    assert!(plan.stdout.contains("No changes"), "{}", plan.stdout);

    answers(&world);
    lanes(&world);
    nothing_executed(&world);
    one_edit_is_one_job(&world);
    again_changes_nothing(&world);
    drift_is_found_and_put_back(&world);
    a_failed_environment_is_reset(&world);
    nothing_leaks(&world, secret);
    world.pressluft(&["audit", "verify"]).expect(0);

    // A document that is gone is reported, and everything it stood for is still there.
    world.git(&["rm", "-q", "sites/acme-staging.yaml"]);
    world.commit("Without staging");
    let removed = world.pressluft(&["plan", "--json"]).expect(0).lines();
    assert!(
        removed.iter().any(|line| line["type"] == "removed"),
        "{removed:?}"
    );
    world.pressluft(&["apply", "--auto-approve"]).expect(0);
    assert_eq!(
        world
            .ssh(1, "ls /var/www/sites/acme")
            .split_whitespace()
            .count(),
        2
    );
}

fn answers(world: &World) {
    let first = dashed(&world.ip(1));
    let second = dashed(&world.ip(2));
    for (host, name) in [
        (1, format!("acme.{first}.sslip.io")),
        (1, format!("birch.{first}.sslip.io")),
        (2, format!("cedar.{second}.sslip.io")),
    ] {
        let (head, body) = world.visit(host, &name, "/");
        assert!(head.starts_with("HTTP/1.1 200"), "{name}: {head}");
        assert!(
            !head.to_lowercase().contains("x-robots-tag"),
            "{name}: {head}"
        );
        assert!(body.contains("<title>The "), "{name}: {body}");
        assert!(body.contains("lookup("), "the title is not literal: {body}");
    }
    let staging = format!("staging--acme.{first}.sslip.io");
    let (head, _) = world.visit(1, &staging, "/");
    assert!(head.starts_with("HTTP/1.1 401"), "{head}");
    let output = std::process::Command::new("curl")
        .args(["-sS", "-i", "-u", "preview:s3cr3t-pa55-Phrase", "--resolve"])
        .arg(format!("{staging}:80:{}", world.ip(1)))
        .arg(format!("http://{staging}/"))
        .output()
        .expect("curl runs");
    let text = String::from_utf8_lossy(&output.stdout).to_lowercase();
    assert!(text.starts_with("http/1.1 200"), "{text}");
    assert!(text.contains("\r\nx-robots-tag: noindex"), "{text}");
}

/// Jobs of one node never overlap; jobs of different nodes did.
fn lanes(world: &World) {
    let jobs = world.jobs();
    let mut across = false;
    for (index, a) in jobs.iter().enumerate() {
        for b in &jobs[index + 1..] {
            let same = a["node_id"] == b["node_id"];
            assert!(
                !(same && overlap(a, b)),
                "two jobs of one node overlap:\n{a}\n{b}"
            );
            across |= !same && overlap(a, b);
        }
    }
    assert!(across, "no jobs of different nodes overlap: {jobs:?}");
}

fn nothing_executed(world: &World) {
    for host in [1, 2] {
        assert_eq!(
            world.ssh(host, "ls /tmp | grep -c pwned || true").trim(),
            "0"
        );
    }
    assert!(!std::path::Path::new("/tmp/pwned").exists());
    let constant = world.ssh(
        1,
        "cd /var/www/sites/acme/production/current && sudo -u wp_acme_production \
         php -r 'define(\"WP_CLI\", 1); $t = file_get_contents(\"../shared/wp-config.php\"); \
         preg_match(\"/define\\\\( *.ODDITY., *(.*?) *\\\\);/\", $t, $m); eval(\"echo $m[1];\");' \
         2>/dev/null || sed -n 's/.*ODDITY//p' /var/www/sites/acme/production/shared/wp-config.php",
    );
    assert!(constant.contains("lookup("), "{constant}");
}

fn one_edit_is_one_job(world: &World) {
    world.edit("sites/acme.yaml", "128M", "192M");
    world.commit("More memory");
    let lines = world.pressluft(&["plan", "--json"]).expect(0).lines();
    let jobs: Vec<&Value> = lines
        .iter()
        .filter(|line| line["type"] == "planned_job")
        .collect();
    assert_eq!(jobs.len(), 1, "{lines:?}");
    assert_eq!(jobs[0]["job_type"], "env_configure");
    assert_eq!(jobs[0]["changes"][0]["path"], "php.memory");
    let files = world.pressluft(&["plan", "--show-files"]).expect(0).stdout;
    assert!(files.contains("192M"), "{files}");

    world
        .pressluft(&["apply", "--auto-approve", "--json"])
        .expect(0);
    assert!(
        world
            .ssh(1, "grep -rhs 192M /etc/pressluft/php/")
            .contains("memory_limit")
    );
    let jobs = world.jobs();
    let job = world.show(jobs.last().expect("a job"));
    let diffs: Vec<&str> = job["tasks"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|t| t["diff"].as_str())
        .collect();
    assert!(diffs.iter().any(|diff| diff.contains("192M")), "{job}");
    let described = world
        .pressluft(&["describe", "env/acme/production"])
        .expect(0)
        .stdout;
    for word in [
        "http://acme.",
        "active",
        "env_configure",
        "sites/acme.yaml:",
        "ops@example.com",
    ] {
        assert!(described.contains(word), "no `{word}` in\n{described}");
    }

    // Neither a comment nor another order of keys is a change.
    world.edit(
        "sites/acme.yaml",
        "php: {memory: 192M, workers: 2}",
        "# why\nphp: {workers: 2, memory: 192M}",
    );
    world.commit("The same in other words");
    let lines = world.pressluft(&["plan", "--json"]).expect(0).lines();
    assert!(
        !lines.iter().any(|line| line["type"] == "planned_job"),
        "{lines:?}"
    );
}

fn again_changes_nothing(world: &World) {
    let before = world.jobs().len();
    world
        .pressluft(&[
            "apply",
            "--auto-approve",
            "--rerun",
            "node/web-1",
            "--rerun",
            "site/acme",
            "--rerun",
            "env/acme/production",
            "--rerun",
            "env/acme/staging",
        ])
        .expect(0);
    let jobs = world.jobs();
    let types: std::collections::BTreeSet<&str> = jobs[before..]
        .iter()
        .filter_map(|job| job["job_type"].as_str())
        .collect();
    let all = [
        "env_configure",
        "env_create",
        "health_check",
        "node_provision",
        "site_create",
    ];
    assert_eq!(types.into_iter().collect::<Vec<_>>(), all);
    for job in &jobs[before..] {
        let shown = world.show(job);
        for task in shown["tasks"].as_array().into_iter().flatten() {
            assert_ne!(
                task["status"], "changed",
                "{} of {}: {task}",
                job["job_type"], job["resource"]
            );
        }
    }
}

/// What somebody changed by hand is found, shown and put back.
fn drift_is_found_and_put_back(world: &World) {
    let clean = world.pressluft(&["drift", "--json"]).expect(0).lines();
    let summary = clean.last().expect("a summary");
    assert_eq!(summary["drifted"], 0);
    // Two nodes and four environments.
    assert_eq!(summary["clean"], 6);

    let pool = "/etc/pressluft/php/wp_acme_production/fpm.conf";
    let code = "/var/www/sites/acme/production/current/wp-login.php";
    world.ssh(
        1,
        &format!(
            "echo '; by hand' >>{pool} && systemctl stop fail2ban && \
             cp -p {code} /root/ && echo '// by hand' >>{code}"
        ),
    );
    let lines = world.pressluft(&["drift", "--json"]).expect(2).lines();
    let found: Vec<&Value> = lines
        .iter()
        .filter(|line| line["type"] == "drift")
        .collect();
    let resources: Vec<&Value> = found.iter().map(|line| &line["resource"]).collect();
    assert_eq!(resources, ["node/web-1", "env/acme/production"]);
    // First what is found of the code, which no job puts back, then what one would.
    let tasks = found[1]["tasks"].as_array().expect("tasks");
    let by_hand: Vec<&Value> = tasks.iter().map(|task| &task["by_hand"]).collect();
    assert_eq!(by_hand, [true, false], "{tasks:?}");
    let diff = tasks[1]["diff"].as_str().expect("a diff");
    assert!(diff.contains("-; by hand"), "{diff}");
    let diff = tasks[0]["diff"].as_str().expect("a diff");
    assert!(diff.contains("-wp-login.php sha256:"), "{diff}");
    assert!(world.ssh(1, &format!("tail -1 {pool}")).contains("by hand"));

    let mut words = vec!["apply", "--auto-approve"];
    words.extend(["--rerun", "node/web-1", "--rerun", "env/acme/production"]);
    world.pressluft(&words).expect(0);
    let shown = world.pressluft(&["describe", "node/web-1", "-o", "json"]);
    assert_eq!(shown.expect(0).json()["drift"]["since"], Value::Null);
    world.pressluft(&["drift", "node/web-1"]).expect(0);

    // Code that somebody changed is put back by nobody, and stays told until it is as it was.
    let shown = world.pressluft(&["describe", "env/acme/production", "-o", "json"]);
    let shown = shown.expect(0).json();
    assert_eq!(shown["condition"]["type"], "drifted", "{shown}");
    assert_eq!(shown["drift"]["tasks"], shown["drift"]["by_hand"]);
    assert!(world.ssh(1, &format!("tail -1 {code}")).contains("by hand"));
    world.ssh(1, &format!("mv /root/wp-login.php {code}"));
    world.pressluft(&["drift"]).expect(0);
}

/// An environment that a job left failed is taken back once it is proven healthy, not before.
fn a_failed_environment_is_reset(world: &World) {
    let id = "env/acme/production";
    let status = || {
        let shown = world.pressluft(&["get", "envs", "-o", "json"]).expect(0);
        let all = shown.json();
        let found = all.as_array().into_iter().flatten();
        let found = found.into_iter().find(|env| env["id"] == id);
        found.expect("it is recorded")["status"].clone()
    };
    let broken = "/var/www/sites/acme/production/current/wp-content/mu-plugins/broken.php";
    world.ssh(
        1,
        &format!(
            "mkdir -p $(dirname {broken}) && echo '<?php http_response_code(500); exit;' >{broken}"
        ),
    );
    let apply = ["apply", "--auto-approve", "--wait", "1s"];
    world.pressluft(&[&apply[..], &["--rerun", id]].concat());
    // Its next attempts come after minutes, unless somebody asks for them.
    for _ in 0..3 {
        let jobs = world.jobs();
        let check = jobs.iter().rev().find(|job| job["status"] == "queued");
        let check = check.expect("a check that is tried again")["id"].clone();
        world
            .pressluft(&["jobs", "retry", check.as_str().expect("an id")])
            .expect(0);
        world.pressluft(&apply);
    }
    assert_eq!(status(), "failed");
    world.pressluft(&["reset", id]).expect(8);
    assert_eq!(status(), "failed");

    world.ssh(1, &format!("rm {broken}"));
    world.pressluft(&["reset", id]).expect(0);
    assert_eq!(status(), "active");
    world.pressluft(&["plan", "--detailed-exitcode"]).expect(0);
    let audit = world.pressluft(&["audit", "list"]).expect(0);
    assert!(audit.stdout.contains("reset"), "{}", audit.stdout);
}

fn nothing_leaks(world: &World, secret: &str) {
    let config = world.ssh(1, "cat /var/www/sites/acme/production/shared/wp-config.php");
    let value = |name: &str| {
        let line = config
            .lines()
            .find(|line| line.contains(&format!("'{name}'")))
            .unwrap_or_else(|| panic!("no {name} in wp-config.php"));
        line.split('\'').nth(3).expect("a value").to_owned()
    };
    let key = std::fs::read_to_string(world.state().join("ssh/id_ed25519")).expect("a key");
    let key_line = key.lines().nth(2).expect("key material").to_owned();
    let (_, password) = secret.split_once(':').expect("user and password");
    let made = generated(world, "env/acme/production");
    assert_eq!(value("DB_PASSWORD"), *made.db_password.expose());
    let mut needles = vec![
        password.to_owned(),
        key_line,
        made.db_password.expose().clone(),
        made.admin_password.expose().clone(),
    ];
    needles.extend(made.salts.values().map(|salt| salt.expose().clone()));
    for needle in needles {
        assert!(needle.len() > 12, "{needle}");
        let mut found = World::files_with(&world.state(), &needle);
        found.retain(|path| !path.ends_with("ssh/id_ed25519"));
        assert_eq!(found, Vec::<std::path::PathBuf>::new());
        assert_eq!(
            World::files_with(&world.repo(), &needle),
            Vec::<std::path::PathBuf>::new()
        );
    }
}

/// What Pressluft made for an environment, as it keeps it encrypted.
fn generated(world: &World, environment: &str) -> EnvironmentSecrets {
    let mut store = Store::open(&world.state().join("pressluft.db")).expect("a database");
    let identity = Identity::load(&world.state().join("secrets")).expect("an identity");
    let id = environment.parse().expect("an id");
    environment_secrets(&mut store, &identity, &id, clock::now()).expect("secrets")
}
