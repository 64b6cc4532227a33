//! `pressluft serve` against real hosts: a push becomes a change on a node, a death of the daemon
//! loses nothing, and a node that does not answer holds back no other.

use std::path::PathBuf;
use std::process::{Child, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::support::World;

/// A daemon that is killed when the test is over.
struct Daemon(Child);

impl Daemon {
    fn start(world: &World) -> Self {
        let bare = bare(world).display().to_string();
        let child = world
            .command(&["serve", "--json", "--repo", &bare, "--ref", "main"])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("pressluft runs");
        Self(child)
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

fn bare(world: &World) -> PathBuf {
    world.dir.path().join("fleet.git")
}

/// Commits and pushes everything.
fn push(world: &World, message: &str) {
    world.commit(message);
    world.git(&["push", "-q", "bare", "main"]);
}

/// One site on each of two nodes, in a bare repository with a hook.
fn sites(name: &'static str) -> World {
    let world = World::new(name, 2);
    world.write(
        "pressluft.yaml",
        "kind: Fleet\nversion: 1\nname: serve\nreconcile: { interval: 1h }\nSOURCES\n",
    );
    for (node, site) in [(1, "acme"), (2, "bakery")] {
        world.write(
            &format!("sites/{site}.yaml"),
            &format!(
                "kind: Node\nname: web-{node}\nhost: HOST{node}\n---\n\
                 kind: Site\nname: {site}\ntitle: First\nnode: web-{node}\n\
                 admin: {{ user: ops, email: ops@example.com }}\n---\n\
                 kind: Environment\nsite: {site}\nname: production\ntype: production\n"
            ),
        );
    }
    let bare = bare(&world).display().to_string();
    world.git(&["init", "-q", "--bare", "-b", "main", &bare]);
    world.git(&["remote", "add", "bare", &bare]);
    world.pressluft(&["hook", "install", &bare]).expect(0);
    world
}

fn described(world: &World, id: &str) -> Value {
    let ran = world.pressluft(&["describe", id, "-o", "json"]);
    match ran.code {
        0 => ran.json(),
        _ => Value::Null,
    }
}

#[track_caller]
fn until(seconds: u64, what: &str, is_so: impl Fn() -> bool) {
    let begun = Instant::now();
    while !is_so() {
        assert!(begun.elapsed().as_secs() < seconds, "{what}: not in time");
        thread::sleep(Duration::from_millis(500));
    }
}

fn is(world: &World, id: &str, condition: &str) -> bool {
    described(world, id)["condition"]["type"] == condition
}

#[test]
fn a_push_is_live_and_touches_nothing_else_and_a_death_loses_nothing() {
    let world = sites("serve");
    let mut daemon = Daemon::start(&world);
    push(&world, "Two sites");
    let both = ["env/acme/production", "env/bakery/production"];
    until(900, "both sites", || {
        both.iter().all(|id| is(&world, id, "ready"))
    });
    let before = described(&world, both[1]);
    world.edit("sites/acme.yaml", "title: First", "title: Second");
    push(&world, "Another title");
    until(120, "the new title", || {
        let acme = described(&world, "site/acme");
        acme["spec"]["title"] == "Second" && acme["condition"]["type"] == "ready"
    });
    let name = format!("acme.{}.sslip.io", world.ip(1).replace('.', "-"));
    let (head, body) = world.visit(1, &name, "/");
    assert!(body.contains("Second"), "{head}\n{body}");
    let named = described(&world, "site/acme");
    assert_eq!(named["commit"]["message"], "Another title");
    assert_eq!(
        described(&world, both[1])["generation"],
        before["generation"]
    );
    suspended_until_asked_for(&world);
    healed(&world);
    // Killed while a job runs, and started again.
    world.edit("sites/acme.yaml", "title: Second", "title: Third");
    push(&world, "A third title");
    until(60, "a running job", || {
        world.jobs().iter().any(|job| job["status"] == "running")
    });
    drop(daemon.0.kill());
    drop(daemon.0.wait());
    daemon = Daemon::start(&world);
    until(300, "the third title", || {
        let acme = described(&world, "site/acme");
        acme["spec"]["title"] == "Third" && acme["condition"]["type"] == "ready"
    });
    drop(daemon);
    world.pressluft(&["audit", "verify"]).expect(0);
    world.pressluft(&["db", "check"]).expect(0);
}

/// What is suspended waits, with what is wanted of it, and goes on when it is not any more.
fn suspended_until_asked_for(world: &World) {
    let id = "env/acme/production";
    world.edit(
        "sites/acme.yaml",
        "type: production\n",
        "type: production\nsuspend: true\ndrift: heal\n",
    );
    push(world, "Hold acme");
    until(120, "the suspension", || is(world, id, "suspended"));
    let changes = || {
        let jobs = world.jobs().into_iter();
        jobs.filter(|job| job["job_type"] != "drift_check").count()
    };
    let before = changes();
    world.edit(
        "sites/acme.yaml",
        "drift: heal\n",
        "drift: heal\nphp: { memory: 192M }\n",
    );
    push(world, "More memory, later");
    until(60, "the wish", || {
        let shown = described(world, id);
        shown["condition"]["type"] == "suspended"
            && shown["desired_revision"] != shown["applied_revision"]
    });
    assert_eq!(changes(), before);
    world.edit("sites/acme.yaml", "suspend: true\n", "");
    push(world, "Go on with acme");
    until(120, "what was held back", || {
        described(world, id)["spec"]["php"]["memory"] == "192M" && is(world, id, "ready")
    });
}

/// What somebody changed by hand is put back by the next reconcile, with that as its reason. Code that
/// somebody changed is not, and no job is queued for it.
fn healed(world: &World) {
    let id = "env/acme/production";
    let pool = "/etc/pressluft/php/wp_acme_production/fpm.conf";
    let code = "/var/www/sites/acme/production/current/wp-login.php";
    world.ssh(
        1,
        &format!("echo '; by hand' >>{pool} && cp -p {code} /root/ && echo '// by hand' >>{code}"),
    );
    world.pressluft(&["drift", id]).expect(2);
    let healing = || {
        let jobs = world.jobs().into_iter();
        let healing = jobs.filter(|job| {
            let reason = job["reason"].as_str().unwrap_or_default();
            job["job_type"] == "env_configure" && reason.starts_with("drift: ")
        });
        healing.count()
    };
    world.pressluft(&["reconcile"]).expect(0);
    until(120, "the file as it was", || {
        !world.ssh(1, &format!("tail -1 {pool}")).contains("by hand") && is(world, id, "drifted")
    });
    world.pressluft(&["reconcile"]).expect(0);
    assert_eq!(healing(), 1);
    let left = &described(world, id)["condition"];
    assert_eq!(left["by_hand"], true, "{left}");
    world.ssh(1, &format!("mv /root/wp-login.php {code}"));
    world.pressluft(&["drift", id]).expect(0);
    until(30, "the code as it was", || is(world, id, "ready"));
}

#[test]
fn a_node_that_does_not_answer_stalls_its_own_site_alone() {
    let world = sites("stall");
    let _daemon = Daemon::start(&world);
    push(&world, "Two sites");
    let both = ["env/acme/production", "env/bakery/production"];
    until(900, "both sites", || {
        both.iter().all(|id| is(&world, id, "ready"))
    });
    world.fleet(&["net", "2", "down"]).expect(0);
    for site in ["acme", "bakery"] {
        let file = format!("sites/{site}.yaml");
        world.edit(&file, "title: First", "title: Second");
    }
    push(&world, "Both titles");
    until(180, "the one that answers", || {
        described(&world, "site/acme")["spec"]["title"] == "Second"
    });
    until(60, "the other", || is(&world, "node/web-2", "stalled"));
    world.fleet(&["net", "2", "up"]).expect(0);
    until(300, "the other one, too", || {
        described(&world, "site/bakery")["spec"]["title"] == "Second"
            && is(&world, both[1], "ready")
    });
}
