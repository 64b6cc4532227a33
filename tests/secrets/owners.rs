//! Names, which are owners: `secret move`, and files of the fleet repo that say whose they are.

use std::fs;
use std::path::PathBuf;
use std::process::Output;

use pressluft::core::id::ResourceId;
use pressluft::secrets::{
    Identity, Origin, Secret, SecretError, encrypt, encrypt_armored, encrypt_file, reveal,
};
use pressluft::store::Store;
use serde_json::Value;

use crate::command::World;

const VALUE: &str = "hunter2-and-a-long-tail\nwith two lines";

/// A fleet repo for this control plane, whose site uses the secret `name`.
fn fleet(world: &World, name: &str) -> PathBuf {
    let recipient = world.ok(&["secret", "keygen"], "");
    let path = world.path("fleet");
    fs::create_dir_all(path.join("sites")).expect("made");
    let root = format!(
        "kind: Fleet\nversion: 1\nname: demo\nsecrets: {{ recipients: [{}] }}\n",
        recipient.trim()
    );
    fs::write(path.join("pressluft.yaml"), root).expect("written");
    let site = format!(
        "kind: Site\nname: acme\nnode: web-1\n---\nkind: Environment\nsite: acme\n\
         name: production\ntype: production\nconstants:\n  KEY: secret:{name}\n  \
         OTHER: secret:{name}-2\n"
    );
    fs::write(path.join("sites/acme.yaml"), site).expect("written");
    path
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn names(world: &World) -> Vec<String> {
    let list = world.ok(&["secret", "list", "-o", "json"], "");
    let list: Vec<Value> = serde_json::from_str(&list).expect("JSON");
    let names = list.iter().map(|secret| secret["name"].as_str());
    names
        .map(|name| name.unwrap_or_default().to_owned())
        .collect()
}

#[test]
fn a_secret_moves_to_another_owner_with_its_value_and_is_audited() {
    let world = World::new();
    let fleet = fleet(&world, "acme/stripe");
    world.ok(&["secret", "set", "acme/stripe"], VALUE);
    world.ok(&["secret", "set", "taken"], "x");
    let output = world.run(&["secret", "move", "acme/stripe", "taken"], "");
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(said(&output).contains("there is a secret `taken` already"));
    let output = world.run(&["secret", "move", "nothing", "a/b"], "");
    assert_eq!(output.status.code(), Some(1), "{output:?}");

    let repo = fleet.display().to_string();
    let words = ["secret", "move", "acme/stripe", "sites/acme/stripe"];
    let output = world.run(&[&words[..], &["--repo", &repo]].concat(), "");
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    // The line of the name itself, and not that of one that begins like it.
    assert!(said(&output).contains("sites/acme.yaml:10\n"), "{output:?}");
    assert!(!said(&output).contains("sites/acme.yaml:11"), "{output:?}");
    assert_eq!(names(&world), ["sites/acme/stripe", "taken"]);
    assert_eq!(world.ok(&["secret", "get", "sites/acme/stripe"], ""), VALUE);
    let audit = world.ok(
        &["audit", "list", "-o", "json", "--action", "secret_moved"],
        "",
    );
    let audit: Value = serde_json::from_str(&audit).expect("JSON");
    assert_eq!(audit[0]["detail"]["name"], "sites/acme/stripe");
    assert_eq!(audit[0]["detail"]["before"], "acme/stripe");
    assert!(!audit.to_string().contains("hunter2"));
    world.ok(&["audit", "verify"], "");
    // Setting the value that it has is no change under the new name either.
    let output = world.run(&["secret", "set", "sites/acme/stripe"], VALUE);
    assert!(said(&output).contains("unchanged"), "{output:?}");
}

#[test]
fn a_file_of_the_fleet_repo_moves_and_opens_under_its_new_name_alone() {
    let world = World::new();
    let fleet = fleet(&world, "acme/stripe");
    let repo = fleet.display().to_string();
    world.ok(&["secret", "set", "acme/stripe", "--repo", &repo], VALUE);
    let old = fleet.join("secrets/acme/stripe.age");
    let new = fleet.join("secrets/sites/acme/stripe.age");
    world.ok(
        &[
            "secret",
            "move",
            "acme/stripe",
            "sites/acme/stripe",
            "--repo",
            &repo,
        ],
        "",
    );
    assert!(!old.exists() && new.is_file());
    let get = |name: &str| world.run(&["secret", "get", name, "--repo", &repo], "");
    let output = get("sites/acme/stripe");
    assert_eq!(String::from_utf8_lossy(&output.stdout), VALUE);

    // Whoever may write below the place of one site takes the file of another one.
    let taken = fleet.join("secrets/sites/bakery/mine.age");
    fs::create_dir_all(taken.parent().expect("a parent")).expect("made");
    fs::copy(&new, &taken).expect("copied");
    let output = get("sites/bakery/mine");
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert_eq!(String::from_utf8_lossy(&output.stdout), "");
    assert!(
        said(&output).contains("holds the secret `sites/acme/stripe`, not `sites/bakery/mine`"),
        "{output:?}"
    );
    // Nor is it made his by what rewrites files.
    let output = world.run(&["secret", "reseal", "--all", "--repo", &repo], "");
    assert_eq!(output.status.code(), Some(1), "{output:?}");

    // Without the identity it cannot be written anew.
    let laptop = World::new();
    let output = laptop.run(
        &[
            "secret",
            "move",
            "sites/acme/stripe",
            "sites/acme/b",
            "--repo",
            &repo,
        ],
        "",
    );
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(new.is_file());

    // What the control plane keeps to itself is not read from the repo, so it is not written there.
    let output = world.run(&["secret", "set", "control/x", "--repo", &repo], VALUE);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
}

#[test]
fn a_copied_file_is_refused_when_a_job_would_open_it() {
    let directory = tempfile::tempdir().expect("a directory");
    let mut store = Store::open(&directory.path().join("state.db")).expect("opened");
    let identity = Identity::generate(&directory.path().join("secrets")).expect("made");
    let recipients = [identity.recipient()];
    let value = Secret::new(VALUE.to_owned());
    let name = "sites/acme/stripe".parse().expect("a name");
    let bound = encrypt_file(&recipients, &name, &value).expect("encrypted");
    let plain = encrypt_armored(&recipients, VALUE.as_bytes()).expect("encrypted");
    let by_hand = format!("pressluft-secret: sites/acme/stripe\n{VALUE}");
    let by_hand = encrypt(&recipients, by_hand.as_bytes()).expect("encrypted");
    let mut opened = |name: &str, file: &[u8]| {
        let digest = store.keep_secret_blob(name, file).expect("kept");
        reveal(&store, &identity, name, &Origin::Repo { digest })
            .map(|value| value.expose().clone())
    };
    for file in [&bound, &by_hand] {
        assert_eq!(opened("sites/acme/stripe", file).expect("opened"), VALUE);
        for other in [
            "sites/bakery/mine",
            "nodes/web-1/ssh",
            "mail/relay",
            "sites/acme/b",
        ] {
            assert!(
                matches!(opened(other, file), Err(SecretError::Misnamed { .. })),
                "{other}"
            );
        }
    }
    // One that does not say whose it is can be anybody's.
    assert_eq!(opened("mail/relay", &plain).expect("opened"), VALUE);
    for owned in [
        "sites/acme/stripe",
        "nodes/web-1/ssh",
        "control/x",
        "sites/acme",
    ] {
        assert!(
            matches!(opened(owned, &plain), Err(SecretError::Unnamed(_))),
            "{owned}"
        );
    }
}

#[test]
fn no_name_leads_to_what_was_generated() {
    let world = World::new();
    world.ok(&["secret", "keygen"], "");
    let path = world.path("state/pressluft.db");
    let identity = Identity::load(&world.path("state/secrets")).expect("loaded");
    let mut store = Store::open(&path).expect("opened");
    let now = "2026-02-22T12:00:00Z".parse().expect("a time");
    let environment = ResourceId::env("acme", "production");
    pressluft::secrets::environment_secrets(&mut store, &identity, &environment, now)
        .expect("made");
    for name in [
        "db_password",
        "salts",
        "acme/production",
        "env/acme/production",
        "env/acme/production/db_password",
        "env/acme/production:db_password",
        "generated/env/acme/production/db_password",
    ] {
        let found = reveal(&store, &identity, name, &Origin::Store);
        assert!(matches!(found, Err(SecretError::NotFound(_))), "{name}");
    }
    assert_eq!(names(&world), [""; 0]);
}
