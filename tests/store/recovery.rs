//! What a dead worker and its dead supervisor left, and when the job goes on.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use pressluft::clock;
use pressluft::core::job::{JobStatus, JobType};
use pressluft::daemon::{Timeouts, WorkerId, recover};
use pressluft::process;
use pressluft::store::{Process, Scope, StoreError};

use super::fixture::{Fixture, job};

fn id_of(child: &Child) -> WorkerId {
    WorkerId::of(i32::try_from(child.id()).expect("a pid")).expect("it lives")
}

/// Ends the process when the test does, however that ends.
struct Ended(i32);

impl Drop for Ended {
    fn drop(&mut self) {
        // It is gone where the test went well.
        kill(Pid::from_raw(self.0), Signal::SIGKILL).ok();
    }
}

#[test]
fn what_a_killed_supervisor_left_is_ended_before_its_job_runs_again() {
    let mut fixture = Fixture::new();
    let queued = job(JobType::EnvConfigure, "env/acme/production", "web-1", &[]);
    fixture.enqueue(std::slice::from_ref(&queued));

    let mut worker = process::command("sleep").arg("60").spawn().expect("sleep");
    let dead = id_of(&worker);
    let now = clock::now();
    let claim = fixture
        .store
        .claim(&dead.to_string(), Scope::All, now)
        .expect("claimed")
        .expect("a job");
    // A command that ignores the request to end and hides in a session of its own.
    let stubborn = "trap '' TERM HUP INT; echo $$; while true; do sleep 1; done";
    let mut supervisor = process::command(env!("CARGO_BIN_EXE_pressluft"))
        .args(["supervise", "--parent", &std::process::id().to_string()])
        .args(["--wait", "--", "setsid", "sh", "-c", stubborn])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("a supervisor");
    let id = id_of(&supervisor);
    let process = Process {
        pid: id.pid,
        start: id.start,
        boot_id: id.boot,
    };
    let store = &mut fixture.store;
    store
        .set_attempt_process(queued.id, claim.token, &process, now)
        .expect("recorded");
    let mut input = supervisor.stdin.take().expect("piped");
    input.write_all(b"\n").expect("it listens");
    let mut line = String::new();
    let output = supervisor.stdout.take().expect("piped");
    BufReader::new(output).read_line(&mut line).expect("a line");
    let stubborn = Ended(line.trim().parse().expect("a pid"));

    worker.kill().expect("it lives");
    worker.wait().expect("it ended");
    supervisor.kill().expect("it lives");
    supervisor.wait().expect("it ended");
    if !may_make_groups() {
        return;
    }

    let deadline = Instant::now() + Duration::from_secs(10);
    let mut waited = false;
    loop {
        let recovery = recover(store, "test", &Timeouts::default(), clock::now()).expect("looked");
        let alive = WorkerId::find(stubborn.0).expect("read").is_some();
        if recovery.interrupted == [queued.id] {
            assert!(!alive, "the job was given back while something of it lived");
            break;
        }
        assert_eq!(recovery.ending, [queued.id]);
        waited = true;
        assert!(Instant::now() < deadline, "it does not end");
        thread::sleep(Duration::from_millis(10));
    }
    assert!(waited, "what lived was not seen");
    let job = store.job(queued.id).expect("read").expect("there");
    assert_eq!(job.status, JobStatus::Queued);
    fixture.assert_sound();
}

#[test]
fn what_was_recorded_after_the_look_keeps_the_job_from_being_settled() {
    let mut fixture = Fixture::new();
    let queued = job(JobType::EnvConfigure, "env/acme/production", "web-1", &[]);
    fixture.enqueue(std::slice::from_ref(&queued));
    let now = clock::now();
    let store = &mut fixture.store;
    let claim = store.claim("a worker", Scope::All, now).expect("claimed");
    let token = claim.expect("a job").token;
    let before = store.leased_jobs().expect("read").remove(0);
    let process = Process {
        pid: 7,
        start: 9,
        boot_id: "boot".to_owned(),
    };
    store
        .set_attempt_process(queued.id, token, &process, now)
        .expect("recorded");
    let stale = store.settle_interrupted(&before, "it is over", now, "test", now);
    assert!(matches!(stale, Err(StoreError::Stale { .. })), "{stale:?}");
    let after = store.leased_jobs().expect("read").remove(0);
    assert_eq!(after.process, Some(process));
    let status = store.settle_interrupted(&after, "it is over", now, "test", now);
    assert_eq!(status.expect("settled"), JobStatus::Queued);
    fixture.assert_sound();
}

/// Whether this process is where a job gets a control group. Elsewhere nobody finds what a killed
/// supervisor leaves.
fn may_make_groups() -> bool {
    let at_the_root = std::fs::read_to_string("/proc/self/cgroup")
        .is_ok_and(|text| text.lines().any(|line| line == "0::/"));
    at_the_root && nix::unistd::geteuid().is_root()
}
