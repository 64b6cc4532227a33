//! Signed commits: who is on the list, and what a bad commit in the middle does.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::world::World;

const REQUIRED: &str = "[git]\nsignatures = \"require\"\n";

/// An SSH key for signing.
fn ssh_key(world: &World, name: &str) -> PathBuf {
    let path = world.path().join(name);
    let status = Command::new("ssh-keygen")
        .args(["-q", "-t", "ed25519", "-N", "", "-C", name, "-f"])
        .arg(&path)
        .status();
    assert!(status.expect("ssh-keygen runs").success());
    path
}

/// Signs what is committed from now on with this key.
fn sign_with(world: &World, key: &std::path::Path) {
    world.git(["config", "gpg.format", "ssh"]);
    world.git(["config", "user.signingKey", &key.display().to_string()]);
    world.git(["config", "commit.gpgSign", "true"]);
}

fn allow(world: &World, key: &std::path::Path) {
    let public = fs::read_to_string(key.with_extension("pub")).expect("a public key");
    // As an editor of another system writes it.
    let line = format!(
        "\u{FEFF}robin@studio.example namespaces=\"git\" {}\r\n",
        public.trim_end()
    );
    fs::write(world.state().join("allowed_signers"), line).expect("written");
}

fn refused(ran: &Value) -> (&str, &str) {
    let text = |field: &str| ran["judged"]["refused"][field].as_str().unwrap_or("");
    (text("code"), text("commit"))
}

#[test]
fn every_commit_since_the_one_in_force_is_looked_at() {
    let world = World::new();
    world.settings(REQUIRED);
    let (robin, other) = (ssh_key(&world, "robin"), ssh_key(&world, "other"));
    let unsigned = world.git(["rev-parse", "HEAD"]);
    let ran = world.reconcile().expect(4).json();
    assert_eq!(refused(&ran), ("unsigned-commit", unsigned.as_str()));
    allow(&world, &robin);
    sign_with(&world, &robin);
    let good = world.push("Signed");
    assert_eq!(
        world.reconcile().expect(0).json()["in_force"],
        good.as_str()
    );
    // Unsigned in the middle of a signed range.
    world.git(["config", "commit.gpgSign", "false"]);
    let middle = world.commit("In the middle");
    sign_with(&world, &robin);
    let tip = world.push("Signed again");
    let ran = world.reconcile().expect(4).json();
    assert_eq!(refused(&ran), ("unsigned-commit", middle.as_str()));
    assert_eq!(ran["judged"]["revision"], tip.as_str());
    assert_eq!(ran["in_force"], good.as_str());
    // On a branch that was merged, by somebody who is not on the list.
    world.git(["reset", "-q", "--hard", &good]);
    world.git(["checkout", "-q", "-b", "side"]);
    sign_with(&world, &other);
    let side = world.commit("By another");
    world.git(["checkout", "-q", "-"]);
    sign_with(&world, &robin);
    world.commit("Of his own");
    world.git(["merge", "-q", "--no-ff", "-m", "Merge", "side"]);
    world.git(["push", "-q", "--force", "origin", "HEAD:main"]);
    let ran = world.reconcile().expect(4).json();
    assert_eq!(refused(&ran), ("unknown-signer", side.as_str()));
    let message = ran["judged"]["refused"]["message"].as_str();
    assert!(message.is_some_and(|text| text.contains("By another")));
    assert_eq!(world.jobs().len(), 1, "nothing of it was queued");
    // A clean way forward is taken.
    world.git(["reset", "-q", "--hard", &good]);
    let clean = world.commit("Clean");
    world.git(["push", "-q", "--force", "origin", "HEAD:main"]);
    assert_eq!(
        world.reconcile().expect(0).json()["in_force"],
        clean.as_str()
    );
}

#[test]
fn a_signature_that_was_moved_to_another_commit_is_bad() {
    let world = World::new();
    world.settings(REQUIRED);
    let robin = ssh_key(&world, "robin");
    allow(&world, &robin);
    sign_with(&world, &robin);
    world.push("Signed");
    world.reconcile().expect(0);
    let commit = world.commit("Signed too");
    let raw = world.git(["cat-file", "commit", &commit]);
    let forged = raw.replace("Signed too", "Forged");
    let file = world.path().join("forged");
    fs::write(&file, format!("{forged}\n")).expect("written");
    let forged = world.git([
        "hash-object",
        "-t",
        "commit",
        "-w",
        &file.display().to_string(),
    ]);
    world.git(["push", "-q", "origin", &format!("{forged}:main")]);
    let ran = world.reconcile().expect(4).json();
    assert_eq!(refused(&ran), ("bad-signature", forged.as_str()));
}

#[test]
fn openpgp_keys_are_taken_from_a_directory() {
    let world = World::new();
    world.settings(REQUIRED);
    let home = world.path().join("gnupg");
    fs::create_dir_all(&home).expect("made");
    fs::set_permissions(&home, std::os::unix::fs::PermissionsExt::from_mode(0o700)).expect("set");
    let gpg = |words: &[&str]| {
        let output = Command::new("gpg")
            .arg("--homedir")
            .arg(&home)
            .args(["--batch", "--quiet", "--no-tty", "--passphrase", ""])
            .args(words)
            .stdin(Stdio::null())
            .output();
        output.ok().filter(|output| output.status.success())
    };
    let made = gpg(&[
        "--quick-generate-key",
        "robin@studio.example",
        "ed25519",
        "sign",
        "never",
    ]);
    if made.is_none() {
        #[expect(clippy::print_stderr, reason = "says why nothing was tested")]
        {
            eprintln!("skipped: gpg cannot make a key here");
        }
        return;
    }
    let wrapper = world.path().join("gpg");
    let script = format!(
        "#!/bin/sh\nexec gpg --homedir '{}' \"$@\"\n",
        home.display()
    );
    fs::write(&wrapper, script).expect("written");
    fs::set_permissions(
        &wrapper,
        std::os::unix::fs::PermissionsExt::from_mode(0o755),
    )
    .expect("set");
    world.git(["config", "gpg.program", &wrapper.display().to_string()]);
    world.git(["config", "user.signingKey", "robin@studio.example"]);
    world.git(["config", "commit.gpgSign", "true"]);
    let commit = world.push("Signed by OpenPGP");
    let ran = world.reconcile().expect(4).json();
    assert_eq!(refused(&ran).0, "unknown-signer");
    let keys = world.state().join("signing-keys");
    fs::create_dir_all(&keys).expect("made");
    let exported = gpg(&["--armor", "--export", "robin@studio.example"]).expect("exported");
    fs::write(keys.join("robin.asc"), exported.stdout).expect("written");
    let ran = world.reconcile().expect(0).json();
    assert_eq!(ran["in_force"], commit.as_str());
    drop(gpg(&["--version"]));
    drop(
        Command::new("gpgconf")
            .arg("--homedir")
            .arg(&home)
            .args(["--kill", "all"])
            .status(),
    );
}
