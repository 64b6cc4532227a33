//! The daemon: what wakes it, how it ends, how it goes on.

use std::net::TcpListener;
use std::os::unix::net::UnixDatagram;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use crate::world::World;

/// On the branch of the bare repository.
fn serve(world: &World) -> crate::world::Daemon {
    let bare = world.bare().display().to_string();
    world.serve(&["--repo", &bare, "--ref", "main"])
}

#[test]
fn a_push_is_seen_at_once_and_the_last_of_a_burst_counts() {
    let world = World::new();
    let mut daemon = serve(&world);
    daemon.in_force(&world.git(["rev-parse", "HEAD"]));
    world.write_site("acme", "Acme");
    let pushed = world.push("Add acme");
    // The interval is an hour.
    let pass = daemon.in_force(&pushed);
    assert_eq!(pass["cause"], "hook");
    let mut last = String::new();
    for n in 0..50 {
        world.write_site("acme", &format!("Acme {n}"));
        last = world.push(&format!("Push {n}"));
    }
    daemon.in_force(&last);
    daemon.signal(Signal::SIGTERM);
    assert_eq!(daemon.end().0, Some(0));
    let sightings = world.sightings();
    let accepted: Vec<&String> = sightings
        .iter()
        .filter(|line| line.starts_with("accepted Push"))
        .collect();
    assert_eq!(sightings.len(), 52);
    assert_eq!(
        accepted.last().map(|line| line.as_str()),
        Some("accepted Push 49")
    );
    assert!(accepted.len() <= 5, "no storm: {accepted:?}");
    let plans = pressluft::store::AuditFilter {
        action: Some(pressluft::core::audit::AuditAction::PlanQueued),
        limit: 1000,
        ..Default::default()
    };
    let plans = world.store().audit_entries(&plans).expect("read").len();
    assert!(plans <= accepted.len() + 2, "{plans} plans");
}

#[test]
fn commands_and_signals_wake_it() {
    let world = World::new();
    let mut daemon = serve(&world);
    let commit = world.git(["rev-parse", "HEAD"]);
    daemon.in_force(&commit);
    daemon.signal(Signal::SIGHUP);
    let pass = daemon.line("a pass", |line| line["type"] == "reconciled");
    assert_eq!(
        (&pass["cause"], &pass["work"]),
        (&"signal".into(), &"unchanged".into())
    );
    let asked = world.run(&["reconcile", "--json"]).expect(0).json();
    assert_eq!(asked["in_force"], commit.as_str());
    let pass = daemon.line("a pass", |line| line["type"] == "reconciled");
    assert_eq!(pass["cause"], "command");
    world.write("broken.yaml", "kind: Nod\n");
    world.push("Break it");
    world.run(&["reconcile"]).expect(3);
    // A second daemon is told about the first.
    let bare = world.bare().display().to_string();
    let second = world
        .run(&["serve", "--no-jobs", "--repo", &bare])
        .expect(6);
    assert!(
        second.stderr.contains(&daemon.child.id().to_string()),
        "{}",
        second.stderr
    );
}

#[test]
fn files_of_a_working_tree_wake_it() {
    let world = World::new();
    let tree = world.clone().display().to_string();
    let mut daemon = world.serve(&[&tree]);
    daemon.in_force(&world.git(["rev-parse", "HEAD"]));
    world.write_site("acme", "Acme");
    let pass = daemon.line("the change", |line| line["queued"] == 3);
    assert_eq!(pass["cause"], "file-change");
}

#[test]
fn a_repository_that_comes_back_is_seen_by_the_interval_alone() {
    let world = World::new();
    world.write("pressluft.yaml", &crate::world::FLEET.replace("1h", "1s"));
    let commit = world.push("Look often");
    let bare = world.bare().display().to_string();
    let mut daemon = world.serve(&["--repo", &bare, "--ref", "main"]);
    daemon.in_force(&commit);
    let away = world.path().join("away.git");
    std::fs::rename(world.bare(), &away).expect("moved");
    daemon.line("a fault", |line| line["fault"]["failures"] == 2);
    std::fs::rename(&away, world.bare()).expect("moved back");
    // Nothing watches the new place of the repository.
    world.write_site("acme", "Acme");
    let commit = world.push("Add acme");
    daemon.in_force(&commit);
}

#[test]
fn killed_at_any_time_it_goes_on_by_itself() {
    let world = World::new();
    let mut last = String::new();
    for n in 0..12 {
        world.write_site("acme", &format!("Acme {n}"));
        last = world.push(&format!("Push {n}"));
        let daemon = serve(&world);
        // At another moment each time, most of them before the pass is over.
        std::thread::sleep(Duration::from_millis(7 * n));
        drop(daemon);
    }
    let mut daemon = serve(&world);
    daemon.in_force(&last);
    drop(daemon);
    assert_eq!(world.store().violations().expect("checked"), []);
    world.run(&["audit", "verify"]).expect(0);
    let queued: Vec<String> = world
        .jobs()
        .into_iter()
        .filter(|job| job.ends_with(" queued"))
        .collect();
    assert_eq!(
        queued,
        [
            "node_provision node/web-1 queued",
            "site_create site/acme queued",
            "health_check env/acme/production queued",
        ]
    );
}

#[test]
fn systemd_hears_when_it_is_ready_lives_and_ends() {
    let world = World::new();
    let path = world.path().join("notify");
    let socket = UnixDatagram::bind(&path).expect("bound");
    socket
        .set_read_timeout(Some(Duration::from_secs(30)))
        .expect("set");
    let bare = world.bare().display().to_string();
    let words = ["serve", "--no-jobs", "--json", "--repo", &bare];
    let path = path.display().to_string();
    let environment = [
        ("NOTIFY_SOCKET", path.as_str()),
        ("WATCHDOG_USEC", "200000"),
    ];
    let daemon = world.start(&words, &environment);
    let hear = || {
        let mut buffer = [0; 64];
        let length = socket.recv(&mut buffer).expect("heard");
        String::from_utf8_lossy(&buffer[..length]).into_owned()
    };
    assert_eq!(hear(), "READY=1");
    assert_eq!(hear(), "WATCHDOG=1");
    daemon.signal(Signal::SIGTERM);
    while hear() != "STOPPING=1" {}
    assert_eq!(daemon.end().0, Some(0));
}

#[test]
fn without_json_it_says_what_is_worth_a_line() {
    let world = World::new();
    world.write("broken.yaml", "kind: Node\nname: web-2\n");
    world.push("Break it");
    let bare = world.bare().display().to_string();
    let ran = world.run(&["reconcile", "--repo", &bare]).expect(3);
    let commit = world.git(["rev-parse", "HEAD"]);
    let expected = format!(
        "{} (Break it) changes nothing: its documents have 1 error\n",
        &commit[..12]
    );
    assert!(ran.stdout.starts_with(&expected), "{}", ran.stdout);
    assert!(ran.stdout.contains("broken.yaml:"), "{}", ran.stdout);
    assert_eq!(world.jobs(), Vec::<String>::new());
}

#[test]
fn who_asks_twice_does_not_wait_for_a_git_host_that_says_nothing() {
    let world = World::new();
    let silent = TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("https://{}/fleet.git", silent.local_addr().expect("bound"));
    let daemon = world.serve(&["--repo", &url, "--ref", "main"]);
    let connection = silent.accept().expect("it fetches");
    daemon.signal(Signal::SIGTERM);
    std::thread::sleep(Duration::from_millis(500));
    let asked = Instant::now();
    daemon.signal(Signal::SIGTERM);
    assert_eq!(daemon.end().0, Some(130));
    let took = asked.elapsed();
    assert!(took < Duration::from_secs(10), "it took {took:?}");
    drop(connection);
}
