//! A database that another process keeps locked, or that cannot be read any more.

use std::fs;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

use crate::world::{World, contained, within};
use crate::{MOMENT, at_work};

/// Longer than anybody waits for the lock at a time.
const LONG: &str = "36";

/// Keeps the database locked for a while, like a process that was stopped in the middle.
fn lock(world: &World) -> Child {
    let script = "import sqlite3, sys, time\n\
                  connection = sqlite3.connect(sys.argv[1], isolation_level=None, timeout=30)\n\
                  connection.execute('BEGIN IMMEDIATE')\n\
                  print('locked', flush=True)\n\
                  time.sleep(float(sys.argv[2]))\n\
                  connection.execute('ROLLBACK')\n";
    let mut child = Command::new("python3")
        .args(["-c", script])
        .arg(world.state("pressluft.db"))
        .arg(LONG)
        .stdout(Stdio::piped())
        .spawn()
        .expect("python runs");
    let mut line = String::new();
    let output = child.stdout.as_mut().expect("an output");
    std::io::BufRead::read_line(&mut std::io::BufReader::new(output), &mut line).expect("read");
    assert_eq!(line, "locked\n");
    child
}

#[test]
fn a_locked_database_costs_no_attempt_and_ends_no_worker() {
    if !contained("locked::a_locked_database_costs_no_attempt_and_ends_no_worker") {
        return;
    }
    let world = World::new(64, 3);
    let mut apply = at_work(&world, 2);
    let mut locker = lock(&world);
    // Their tasks and their ends come while nothing can be written.
    world.hold(false);
    let status = locker.wait().expect("an end");
    assert!(status.success());
    assert_eq!(
        apply.end(Duration::from_secs(60)),
        0,
        "{}",
        apply.said("err")
    );
    let jobs = world.run(&["jobs", "list", "-o", "json"]).expect(0).stdout;
    let jobs: Vec<Value> = serde_json::from_str(&jobs).expect("JSON");
    assert_eq!(jobs.len(), 3);
    for job in jobs {
        let (status, attempts) = (&job["status"], &job["attempt_count"]);
        assert_eq!(
            (status, attempts),
            (&"succeeded".into(), &1.into()),
            "{job}"
        );
    }
    assert_eq!(world.begun(), 3, "none ran twice");
    world.assert_sound();
}

#[test]
fn a_worker_whose_database_is_gone_ends() {
    if !contained("locked::a_worker_whose_database_is_gone_ends") {
        return;
    }
    let world = World::new(64, 1);
    world.run(&["apply", "--auto-approve"]).expect(0);
    let mut worker = world.start("worker", &mut world.command(&["worker"]));
    let lock = world.state("worker.lock");
    assert!(within(MOMENT, || lock.exists()));
    thread::sleep(Duration::from_secs(1));
    for file in ["pressluft.db", "pressluft.db-wal", "pressluft.db-shm"] {
        let path = world.state(file);
        let length = fs::metadata(&path).expect("a file").len();
        let garbage = vec![0x5a; usize::try_from(length).expect("a length")];
        fs::write(&path, garbage).expect("written");
    }
    // It may need somebody to ask it; but then it ends.
    thread::sleep(Duration::from_secs(3));
    if worker.is_running() {
        kill(Pid::from_raw(worker.pid()), Signal::SIGTERM).expect("a signal");
    }
    worker.end(MOMENT);
}
