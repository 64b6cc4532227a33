//! Single reconciles: what becomes of a revision, what is queued, what is left alone.

use std::fs;

use pressluft::core::condition::ConditionKind;

use crate::world::World;

#[test]
fn a_good_commit_is_in_force_and_queued_once() {
    let world = World::new();
    world.write_site("acme", "Acme");
    let commit = world.push("Add acme");
    let first = world.reconcile().expect(0).json();
    assert_eq!(first["in_force"], commit.as_str());
    assert_eq!(first["judged"]["verdict"], "accepted");
    assert_eq!(first["queued"], 3);
    let again = world.reconcile().expect(0).json();
    assert_eq!((&again["queued"], &again["joined"]), (&0.into(), &3.into()));
    assert_eq!(again["judged"]["is_news"], false);
    assert_eq!(
        world.jobs(),
        [
            "node_provision node/web-1 queued",
            "site_create site/acme queued",
            "health_check env/acme/production queued",
        ]
    );
    assert_eq!(world.sightings(), ["accepted Add acme"]);
    let seen = world.store().last_sighting().expect("read").expect("seen");
    assert_eq!(seen.jobs, 3);
    // What was queued already stays when a commit brings something else.
    world.write_site("bakery", "Bakery");
    world.push("Add bakery");
    let next = world.reconcile().expect(0).json();
    assert_eq!(next["superseded"], 3, "the node is part of both");
    assert_eq!(world.sightings().len(), 2);
    world.run(&["audit", "verify"]).expect(0);
}

#[test]
fn a_broken_commit_is_told_once_and_changes_nothing() {
    let world = World::new();
    let good = world.git(["rev-parse", "HEAD"]);
    world.reconcile().expect(0);
    world.write("broken.yaml", "kind: Node\nname: web-2\nhost: [\n");
    let broken = world.push("Break it");
    let first = world.reconcile().expect(3).json();
    assert_eq!(first["in_force"], good.as_str());
    assert_eq!(first["judged"]["revision"], broken.as_str());
    assert_eq!(first["judged"]["diagnostics"][0]["file"], "broken.yaml");
    assert_eq!(first["judged"]["is_news"], true);
    assert_eq!(
        world.reconcile().expect(3).json()["judged"]["is_news"],
        false
    );
    // What is in force is looked after all the same.
    assert_eq!(world.reconcile().expect(3).json()["joined"], 1);
    world.write("broken.yaml", "kind: Node\nname: web-2\nhost: 127.0.0.2\n");
    let mended = world.push("Mend it");
    let last = world.reconcile().expect(0).json();
    assert_eq!(last["in_force"], mended.as_str());
    assert_eq!(
        world.sightings(),
        ["accepted First", "invalid Break it", "accepted Mend it"]
    );
    let jobs = world.jobs();
    assert_eq!(jobs.len(), 2, "the queued job was joined: {jobs:?}");
}

#[test]
fn only_the_last_of_many_commits_counts() {
    let world = World::new();
    world.reconcile().expect(0);
    for n in 1..=5 {
        world.write_site("acme", &format!("Acme {n}"));
        world.commit(&format!("Change {n}"));
    }
    world.push("Change 6");
    let last = world.reconcile().expect(0).json();
    assert_eq!(last["judged"]["superseded"], 5);
    assert_eq!(
        world.sightings(),
        [
            "accepted First",
            "superseded Change 1",
            "superseded Change 2",
            "superseded Change 3",
            "superseded Change 4",
            "superseded Change 5",
            "accepted Change 6"
        ]
    );
}

#[test]
fn a_rewritten_branch_is_refused_until_it_is_allowed() {
    let world = World::new();
    world.write_site("acme", "Acme");
    let good = world.push("Add acme");
    world.reconcile().expect(0);
    world.git(["reset", "-q", "--hard", "HEAD~1"]);
    world.write_site("bakery", "Bakery");
    let other = world.commit("Another way");
    world.git(["push", "-q", "--force", "origin", "HEAD:main"]);
    let refused = world.reconcile().expect(4).json();
    assert_eq!(refused["in_force"], good.as_str());
    assert_eq!(refused["judged"]["refused"]["code"], "not-fast-forward");
    let message = refused["judged"]["refused"]["message"].as_str();
    assert!(message.is_some_and(|text| text.contains(&other[..12]) && text.contains(&good[..12])));
    let jobs = world.jobs();
    assert!(jobs.iter().all(|job| !job.contains("bakery")), "{jobs:?}");
    world.settings("[git]\nallow_rewind = true\n");
    assert_eq!(
        world.reconcile().expect(0).json()["in_force"],
        other.as_str()
    );
    world.settings("");
    // A revert goes forward.
    world.git(["revert", "--no-edit", "HEAD"]);
    world.git(["push", "-q", "origin", "HEAD:main"]);
    world.reconcile().expect(0);
}

#[test]
fn a_dead_repository_is_told_and_what_is_in_force_goes_on() {
    let world = World::new();
    let good = world.git(["rev-parse", "HEAD"]);
    world.reconcile().expect(0);
    let away = world.path().join("away.git");
    fs::rename(world.bare(), &away).expect("moved");
    let dead = world.reconcile().expect(1).json();
    assert_eq!(dead["in_force"], good.as_str());
    assert_eq!(dead["fault"]["failures"], 1);
    assert_eq!(world.reconcile().expect(1).json()["fault"]["failures"], 2);
    let known = world.store().repository().expect("read").expect("known");
    assert_eq!(known.unreachable.map(|away| away.failures), Some(2));
    fs::rename(away, world.bare()).expect("moved back");
    assert_eq!(
        world.reconcile().expect(0).json()["fault"],
        serde_json::Value::Null
    );
    let known = world.store().repository().expect("read").expect("known");
    assert_eq!(known.unreachable, None);
}

#[test]
fn what_is_followed_may_be_a_range_of_versions_below_a_directory() {
    let world = World::new();
    world.write("fleet/pressluft.yaml", crate::world::FLEET);
    world.commit("Move");
    for tag in ["v1.0.0", "v1.2.0", "v2.0.0"] {
        let commit = world.commit(tag);
        world.git(["tag", tag, &commit]);
    }
    world.git(["push", "-q", "--tags", "origin", "HEAD:main"]);
    let bare = world.bare().display().to_string();
    world.settings(&format!(
        "[git]\nrepo = \"{bare}\"\nref = \"semver:^1\"\nsubdirectory = \"fleet\"\n"
    ));
    let tagged = world.git(["rev-parse", "v1.2.0"]);
    let ran = world.run(&["reconcile", "--json"]).expect(0).json();
    assert_eq!(ran["in_force"], tagged.as_str());
}

#[test]
fn what_failed_is_left_alone_until_somebody_asks_or_a_commit_changes_it() {
    let world = World::new();
    world.write_site("acme", "Acme");
    world.write_site("bakery", "Bakery");
    world.push("Two sites");
    // The node is there, so that each site has jobs of its own.
    world.reconcile().expect(0);
    let jobs = world.run(&["jobs", "list", "-o", "json"]).expect(0).json();
    let of_acme = jobs
        .as_array()
        .expect("an array")
        .iter()
        .find(|job| job["resource"] == "site/acme");
    let id = of_acme.expect("its job")["id"]
        .as_str()
        .expect("an id")
        .to_owned();
    world.run(&["jobs", "cancel", &id]).expect(0);
    let held = world.reconcile().expect(0).json();
    assert_eq!(held["held"], 2, "the site and its environment: {held}");
    let standing = |id: &str| {
        let id = id.parse().expect("an id");
        let now = "2026-02-22T12:00:00Z".parse().expect("a time");
        let standing = world.store().standing(&id, now).expect("read");
        standing.expect("it is known").condition.kind()
    };
    assert_eq!(standing("site/acme"), ConditionKind::Stalled);
    assert_eq!(standing("site/bakery"), ConditionKind::Reconciling);
    let count = |what: &str| {
        let jobs = world.jobs();
        jobs.iter().filter(|job| **job == what).count()
    };
    assert_eq!(count("site_create site/bakery queued"), 1);
    assert_eq!(world.reconcile().expect(0).json()["queued"], 0);
    // A commit about something else does not wake it.
    world.write("hooks/note.yml", "- hosts: all\n");
    world.push("Something else");
    assert_eq!(world.reconcile().expect(0).json()["held"], 2);
    world.write_site("acme", "Acme Bakery");
    world.push("Another title");
    assert_eq!(world.reconcile().expect(0).json()["held"], 0);
    assert_eq!(count("site_create site/acme queued"), 1);
    let jobs = world.run(&["jobs", "list", "-o", "json"]).expect(0).json();
    let again = jobs
        .as_array()
        .expect("an array")
        .iter()
        .find(|job| job["resource"] == "site/acme" && job["status"] == "queued");
    let id = again.expect("its job")["id"]
        .as_str()
        .expect("an id")
        .to_owned();
    world.run(&["jobs", "cancel", &id]).expect(0);
    assert_eq!(world.reconcile().expect(0).json()["held"], 2);
    let bare = world.bare().display().to_string();
    let ran = world.run(&[
        "reconcile",
        "--retry",
        "--json",
        "--repo",
        &bare,
        "--ref",
        "main",
    ]);
    assert_eq!(ran.expect(0).json()["held"], 0);
    assert_eq!(count("site_create site/acme queued"), 1);
}

#[test]
fn a_template_that_failed_is_tried_again_once_it_is_another_one() {
    const VHOST: &str = "templates/nginx/site.conf";
    let world = World::new();
    world.write_site("acme", "Acme");
    world.push("One site");
    world.adopt();
    let give_up = || {
        let jobs = world.run(&["jobs", "list", "-o", "json"]).expect(0).json();
        let jobs = jobs.as_array().expect("an array");
        let queued = jobs.iter().find(|job| job["status"] == "queued");
        let id = queued.expect("a job")["id"].as_str().expect("an id");
        world.run(&["jobs", "cancel", id]).expect(0);
    };
    let planned = |told: &str| {
        let ran = world.reconcile().expect(0).json();
        let number = |field: &str| ran[field].as_u64().expect(told);
        (number("queued"), number("held"))
    };
    let kind = || {
        let id = "env/acme/production".parse().expect("an id");
        let now = "2026-02-22T12:00:00Z".parse().expect("a time");
        let standing = world.store().standing(&id, now).expect("read");
        standing.expect("it is known").condition.kind()
    };
    world.write(VHOST, "# first\n");
    world.push("A template");
    assert_eq!(planned("first"), (1, 0));
    give_up();
    assert_eq!(planned("given up"), (0, 1));
    // Its document is as it is recorded, and it is not what is wanted all the same.
    assert_eq!(kind(), ConditionKind::Stalled);
    world.write(VHOST, "# mended\n");
    world.push("Another template");
    assert_eq!(planned("mended"), (1, 0));
    give_up();
    assert_eq!(planned("given up again"), (0, 1));
    // Without it, everything is as it was.
    world.git(["rm", "-q", VHOST]);
    world.push("No template");
    assert_eq!(planned("gone"), (0, 0));
    assert_eq!(kind(), ConditionKind::Ready);
}

#[test]
fn what_is_recorded_already_is_left_alone_and_one_change_is_one_job() {
    let world = World::new();
    world.write_site("acme", "Acme");
    world.write_site("bakery", "Bakery");
    world.push("Two sites");
    world.adopt();
    let first = world.reconcile().expect(0).json();
    assert_eq!(
        (&first["queued"], &first["recorded"]),
        (&0.into(), &0.into())
    );
    let seen = world.store().last_sighting().expect("read").expect("seen");
    assert!(seen.converged_at.is_some(), "nothing is left to do");
    world.write_site("acme", "Another");
    let commit = world.push("Another title");
    let change = world.reconcile().expect(0).json();
    assert_eq!(
        (&change["queued"], &change["blocked"]),
        (&1.into(), &0.into())
    );
    assert_eq!(world.jobs(), ["env_configure env/acme/production queued"]);
    let now = "2026-02-22T12:00:00Z".parse().expect("a time");
    let id = "site/acme".parse().expect("an id");
    let standing = world.store().standing(&id, now).expect("read");
    let standing = standing.expect("it is known");
    assert_eq!(standing.condition.kind(), ConditionKind::Reconciling);
    assert_eq!(standing.desired_revision, Some(commit));
}

#[test]
fn a_working_tree_counts_as_it_is() {
    let world = World::new();
    let tree = world.clone().display().to_string();
    let committed = world.git(["rev-parse", "HEAD"]);
    let first = world.run(&["reconcile", "--json", &tree]).expect(0).json();
    assert_eq!(first["in_force"], committed.as_str());
    world.write_site("acme", "Acme");
    let dirty = world.run(&["reconcile", "--json", &tree]).expect(0).json();
    let name = dirty["in_force"].as_str().expect("a name");
    assert!(name.starts_with("dirty:"), "{name}");
    world.write("broken.yaml", "kind: Nod\n");
    let broken = world.run(&["reconcile", "--json", &tree]).expect(3).json();
    assert_eq!(broken["in_force"], name);
    assert_eq!(broken["work"], "nothing", "there are only the files of now");
}
