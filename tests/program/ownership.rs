//! Root and the state directory of another user.

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};

use super::Program;

/// Some user that every Linux has.
const DAEMON: u32 = 1;

#[test]
fn root_looks_at_what_is_somebody_elses_and_leaves_nothing_in_it() {
    // Only root can give a directory away.
    if !nix::unistd::geteuid().is_root() {
        return;
    }
    let program = Program::new();
    let repo = program.repo("quickstart").display().to_string();
    fs::create_dir(program.state()).expect("made");
    chown(program.state(), Some(DAEMON), Some(DAEMON)).expect("given away");
    let writing: [&[&str]; 5] = [
        &["ssh-key"],
        &["secret", "keygen"],
        &["doctor", "--fix"],
        &["apply", "--no-wait", "--auto-approve", &repo],
        &["worker"],
    ];
    for words in writing {
        let ran = program.run(words).expect(1);
        assert!(
            ran.stderr.contains("belongs to `daemon`")
                && ran.stderr.contains("sudo -u daemon pressluft"),
            "{words:?}: {}",
            ran.stderr
        );
    }
    program.run(&["plan", &repo]).expect(0);
    program.run(&["validate", &repo]).expect(0);
    program.run(&["get", "envs"]).expect(0);
    let left = fs::read_dir(program.state()).expect("there").count();
    assert_eq!(left, 0);
}

#[test]
fn a_state_directory_is_made_for_its_owner_alone() {
    let making: [&[&str]; 3] = [
        &["ssh-key"],
        &["secret", "keygen"],
        &["apply", "--no-wait", "--auto-approve"],
    ];
    for words in making {
        let program = Program::new();
        let repo = program.repo("quickstart").display().to_string();
        let repo = (words[0] == "apply").then_some(repo);
        let words: Vec<&str> = words.iter().copied().chain(repo.as_deref()).collect();
        program.run(&words).expect(0);
        let mode = fs::metadata(program.state()).expect("made").permissions();
        let open = mode.mode() & 0o077;
        assert_eq!(open, 0, "{words:?}: others may look into it");
    }
}
