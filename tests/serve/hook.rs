//! The hook of a bare repository.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use crate::world::World;

#[test]
fn a_hook_is_written_once_and_wakes_a_daemon_that_reads_from_elsewhere() {
    let world = World::new();
    let bare = world.bare().display().to_string();
    let first = world.run(&["hook", "install", &bare]).expect(0);
    assert!(first.stdout.contains("is written"), "{}", first.stdout);
    let again = world.run(&["hook", "install", &bare]).expect(0);
    assert!(
        again.stdout.contains("is there already"),
        "{}",
        again.stdout
    );
    // With no daemon a push works all the same.
    world.push("Nobody listens");
    assert!(world.bare().join("pressluft.wake").exists());
    // The daemon follows a mirror, so it cannot see the push itself; the hook's note in the
    // state directory is all that wakes it.
    let mirror = world.path().join("mirror.git");
    crate::world::git(
        world.path(),
        ["clone", "-q", "--mirror", &bare, "mirror.git"],
    );
    let mut daemon = world.serve(&["--repo", &mirror.display().to_string()]);
    daemon.in_force(&world.git(["rev-parse", "HEAD"]));
    world.push("Somebody listens");
    let pass = daemon.line("a pass", |line| line["type"] == "reconciled");
    assert_eq!(pass["cause"], "hook");
}

#[test]
fn a_hook_of_somebody_else_stays_and_is_told_what_to_call() {
    let world = World::new();
    let bare = world.bare().display().to_string();
    let hook = world.bare().join("hooks/post-receive");
    fs::create_dir_all(hook.parent().expect("a parent")).expect("made");
    let own = "#!/bin/sh\necho mine\n";
    fs::write(&hook, own).expect("written");
    fs::set_permissions(&hook, fs::Permissions::from_mode(0o755)).expect("set");
    let ran = world.run(&["hook", "install", &bare]).expect(4);
    assert_eq!(fs::read_to_string(&hook).expect("read"), own);
    let line = ran
        .stderr
        .lines()
        .find_map(|line| line.split_once("add this line to it: "))
        .expect("a line to add");
    // To speak of it is not to call it.
    fs::write(&hook, format!("{own}# {}\n", line.1)).expect("written");
    world.run(&["hook", "install", &bare]).expect(4);
    fs::write(&hook, format!("{own}{}\n", line.1)).expect("written");
    fs::set_permissions(&hook, fs::Permissions::from_mode(0o644)).expect("set");
    let ran = world.run(&["hook", "install", &bare]).expect(4);
    assert!(ran.stderr.contains("not executable"), "{}", ran.stderr);
    fs::set_permissions(&hook, fs::Permissions::from_mode(0o755)).expect("set");
    let ran = world.run(&["hook", "install", &bare]).expect(0);
    assert!(ran.stderr.contains("is not tried"), "{}", ran.stderr);
    world.push("Through both");
    assert!(world.bare().join("pressluft.wake").exists());
    let elsewhere = world.path().display().to_string();
    world.run(&["hook", "install", &elsewhere]).expect(1);
}

#[test]
fn a_hook_of_a_worktree_is_where_its_pushes_arrive() {
    let world = World::new();
    let bare = world.bare().display().to_string();
    let tree = world.path().join("linked").display().to_string();
    crate::world::git(
        world.path(),
        ["-C", &bare, "worktree", "add", "--detach", &tree],
    );
    let ran = world.run(&["hook", "install", &tree]).expect(0);
    assert!(ran.stdout.contains("git runs it"), "{}", ran.stdout);
    assert!(world.bare().join("hooks/post-receive").exists());
}

#[test]
fn a_hook_goes_where_git_looks_and_is_tried_there() {
    let world = World::new();
    let bare = world.bare().display().to_string();
    let elsewhere = world.path().join("hooks-of-all");
    let path = elsewhere.display().to_string();
    crate::world::git(
        world.path(),
        ["-C", &bare, "config", "core.hooksPath", &path],
    );
    let ran = world.run(&["hook", "install", &bare]).expect(0);
    assert!(ran.stdout.contains("git runs it"), "{}", ran.stdout);
    assert!(elsewhere.join("post-receive").exists());
    assert!(!world.bare().join("hooks/post-receive").exists());
    // One that is there and cannot be run is told.
    fs::set_permissions(
        elsewhere.join("post-receive"),
        fs::Permissions::from_mode(0o644),
    )
    .expect("set");
    let ran = world.run(&["hook", "install", &bare]).expect(1);
    assert!(ran.stderr.contains("git does not run it"), "{}", ran.stderr);
}
