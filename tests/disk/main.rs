//! What can be in the way of a worker, under the program as it is: a disk that is full, read-only or
//! failing, a database that is locked, nodes that do not answer. Nothing is lost, the error says
//! what to do, and it goes on when it can.
#![cfg(test)]
#![expect(
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "tests start programs and read the environment, and what fails is the test"
)]

mod away;
mod locked;
mod twins;
mod world;

use std::fs;
use std::process::Command;
use std::time::Duration;

use world::{World, contained, within};

const BALLAST: u64 = 16 * 1024 * 1024;
const MOMENT: Duration = Duration::from_secs(20);

/// Starts an `apply` whose first jobs are at work when this returns.
fn at_work(world: &World, jobs: usize) -> world::Started {
    world.hold(true);
    let parallel = jobs.to_string();
    let mut command = world.command(&["apply", "--auto-approve", "--parallel", &parallel]);
    let mut apply = world.start("apply", &mut command);
    let begun = within(MOMENT, || world.begun() == jobs || !apply.is_running());
    assert!(
        begun && apply.is_running(),
        "{}{}",
        apply.said("out"),
        apply.said("err")
    );
    apply
}

#[test]
fn what_runs_records_its_end_on_a_full_disk_and_it_goes_on_by_itself() {
    if !contained("what_runs_records_its_end_on_a_full_disk_and_it_goes_on_by_itself") {
        return;
    }
    let world = World::new(64, 4);
    let mut apply = at_work(&world, 2);
    let (length, blocks) = world.ballast().expect("room is held back");
    assert!(length == BALLAST && blocks >= BALLAST, "{length} {blocks}");
    world.fill();
    world.hold(false);
    // Both ends are recorded although nothing else fits on the disk, and nothing new starts.
    let recorded = within(MOMENT, || world.count("succeeded") == 2);
    assert!(recorded, "{}{}", apply.said("out"), apply.said("err"));
    assert!(within(MOMENT, || apply.said("err").contains("make room")));
    assert!(apply.is_running());
    assert_eq!((world.begun(), world.count("queued")), (2, 2));
    assert_eq!(world.ballast(), None, "it was given up");
    let said = apply.said("err");
    assert!(said.contains("pressluft.db"), "{said}");
    world.assert_sound();
    // There is room again: nobody has to do anything.
    world.make_room();
    assert_eq!(apply.end(MOMENT), 0, "{}", apply.said("err"));
    assert_eq!((world.begun(), world.count("succeeded")), (4, 4));
    let (length, blocks) = world.ballast().expect("held back again");
    assert!(length == BALLAST && blocks >= BALLAST);
    world.assert_sound();
}

#[test]
fn a_disk_that_stays_full_ends_it_with_a_clear_error_and_a_restart_goes_on() {
    if !contained("a_disk_that_stays_full_ends_it_with_a_clear_error_and_a_restart_goes_on") {
        return;
    }
    let world = World::new(64, 3);
    let mut apply = at_work(&world, 1);
    world.fill();
    world.hold(false);
    assert_eq!(apply.end(Duration::from_secs(60)), 1);
    let said = apply.said("err");
    let path = world.state("pressluft.db").display().to_string();
    for part in [path.as_str(), "full", "make room"] {
        assert!(said.contains(part), "{said}");
    }
    assert_eq!((world.count("succeeded"), world.count("queued")), (1, 2));
    world.assert_sound();
    // A start on the full disk changes nothing and says the same.
    let ran = world.run(&["apply", "--auto-approve"]).expect(1);
    assert!(ran.stderr.contains("make room"), "{}", ran.stderr);
    assert_eq!((world.count("succeeded"), world.count("queued")), (1, 2));
    world.assert_sound();
    world.make_room();
    world.run(&["apply", "--auto-approve"]).expect(0);
    assert_eq!((world.begun(), world.count("succeeded")), (3, 3));
    world.assert_sound();
}

#[test]
fn files_of_jobs_that_fit_nowhere_stop_the_claiming_and_end_it() {
    if !contained("files_of_jobs_that_fit_nowhere_stop_the_claiming_and_end_it") {
        return;
    }
    let world = World::new(64, 2);
    // The database has all the room that it wants.
    fs::create_dir(world.state("run")).expect("made");
    let run = world.state("run").display().to_string();
    let mount = |words: &[&str]| {
        let status = Command::new(words[0]).args(&words[1..]).arg(&run).status();
        assert!(status.expect("it runs").success());
    };
    let options = [
        "mount",
        "-t",
        "tmpfs",
        "-o",
        "nr_inodes=4,mode=0700",
        "tmpfs",
    ];
    mount(&options);
    let ran = world.run(&["apply", "--auto-approve"]).expect(1);
    for part in [run.as_str(), "cannot write their files", "make room"] {
        assert!(ran.stderr.contains(part), "{}", ran.stderr);
    }
    assert_eq!((world.begun(), world.count("queued")), (0, 2));
    // One look for each job, not one every other second.
    let jobs = world.run(&["audit", "list", "-o", "json", "--action", "job_started"]);
    let started: serde_json::Value = serde_json::from_str(&jobs.stdout).expect("JSON");
    let started = started.as_array().expect("an array").len();
    assert!((1..=4).contains(&started), "{started}");
    world.assert_sound();
    mount(&["umount"]);
    world.run(&["apply", "--auto-approve"]).expect(0);
    assert_eq!(world.count("succeeded"), 2);
    world.assert_sound();
}

/// The moments follow from the seed, but what they hit depends on the machine.
#[test]
fn a_disk_that_fills_up_at_any_moment_loses_nothing() {
    if !contained("a_disk_that_fills_up_at_any_moment_loses_nothing") {
        return;
    }
    let turns: u64 = std::env::var("PRESSLUFT_DISK_TURNS")
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(8);
    let mut hit = 0;
    for turn in 0..turns {
        let world = World::new(64, 6);
        let mut command = world.command(&["apply", "--auto-approve", "--parallel", "2"]);
        let mut apply = world.start("apply", &mut command);
        std::thread::sleep(Duration::from_millis(turn * 2_000 / turns));
        world.fill();
        within(Duration::from_millis(1_500), || !apply.is_running());
        // As it is on the full disk: before its tables are there it is no database yet, and one
        // that was just begun may need room to be read.
        let ran = world.run(&["db", "check"]);
        let is_none = ["nothing is recorded yet", "must be migrated", "is full"];
        if !is_none.iter().any(|said| ran.stderr.contains(said)) {
            ran.expect(0);
        }
        world.make_room();
        let code = apply.end(Duration::from_secs(60));
        hit += u32::from(code != 0 || apply.said("err").contains("make room"));
        let said = apply.said("err");
        assert!(
            code == 0 || said.contains("make room") || said.contains("No space"),
            "{said}"
        );
        // Whatever was left goes on after a restart.
        let ran = world.run(&["apply", "--auto-approve"]).expect(0);
        assert_eq!(
            world.count("succeeded"),
            6,
            "turn {turn}: {said}{}",
            ran.stderr
        );
        for status in ["queued", "running", "unknown", "failed"] {
            assert_eq!(world.count(status), 0, "turn {turn}: {status}: {said}");
        }
        world.assert_sound();
    }
    println!("{hit} of {turns} runs met the full disk");
    assert!(hit > 0, "no run met the full disk");
}

#[test]
fn a_read_only_file_system_can_be_looked_at_and_says_why_nothing_runs() {
    if !contained("a_read_only_file_system_can_be_looked_at_and_says_why_nothing_runs") {
        return;
    }
    let world = World::new(64, 2);
    world.run(&["apply", "--auto-approve"]).expect(0);
    let remount = |mode: &str| {
        // The kernel lets go of a confined process's directory a moment after the process has ended.
        let done = within(Duration::from_secs(5), || {
            let mut mount = Command::new("mount");
            mount.args(["-o", &format!("remount,{mode}")]);
            let status = mount.arg(world.path("state")).status();
            status.expect("mount runs").success()
        });
        assert!(done, "{mode}");
    };
    remount("ro");
    world.assert_sound();
    assert_eq!(world.count("succeeded"), 2);
    world.run(&["get", "nodes"]).expect(0);
    world.run(&["plan"]).expect(0);
    let copy = world.path("copy.db").display().to_string();
    world.run(&["db", "backup", &copy]).expect(0);
    world.run(&["db", "check", &copy]).expect(0);
    let words = ["apply", "--auto-approve", "--rerun", "node/web-1"];
    let ran = world.run(&words).expect(1);
    for part in ["pressluft.db", "mount"] {
        assert!(ran.stderr.contains(part), "{}", ran.stderr);
    }
    world.run(&["doctor"]).expect(1);
    remount("rw");
    world.run(&words).expect(0);
    assert_eq!(world.count("succeeded"), 3);
    world.assert_sound();
}

#[test]
fn syncs_that_fail_lose_nothing() {
    if !contained("syncs_that_fail_lose_nothing") {
        return;
    }
    let mut noticed = 0;
    for (at, count) in [(2, 1), (6, 2), (10, 1), (16, 3), (24, 2)] {
        let world = World::new(64, 4);
        let Some(library) = world.shim() else {
            println!("skipped: there is no C compiler");
            return;
        };
        let mut command = world.command(&["apply", "--auto-approve", "--parallel", "2"]);
        command
            .env("LD_PRELOAD", library)
            .env("SHIM_PREFIX", world.state("pressluft.db"))
            .env("SHIM_KIND", "s")
            .env("SHIM_ERRNO", "5")
            .env("SHIM_FAIL_AT", at.to_string())
            .env("SHIM_FAIL_FOR", count.to_string());
        let mut apply = world.start("apply", &mut command);
        let code = apply.end(Duration::from_secs(90));
        let said = apply.said("err");
        noticed += u32::from(said.contains("fails"));
        assert!(code == 0 || said.contains("dmesg"), "{at}: {code}: {said}");
        world.assert_sound();
        world.run(&["apply", "--auto-approve"]).expect(0);
        assert_eq!(world.count("succeeded"), 4, "{at}: {said}");
        for status in ["queued", "running", "unknown", "failed"] {
            assert_eq!(world.count(status), 0, "{at}: {status}: {said}");
        }
        world.assert_sound();
    }
    assert!(noticed > 0, "nobody noticed a sync that failed");
}
