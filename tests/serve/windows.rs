//! Changes that are applied in certain hours only.

use jiff::Timestamp;
use pressluft::core::condition::ConditionKind;
use pressluft::core::reconcile::Cause;
use pressluft::core::secret_owner::Reserved;
use pressluft::daemon::{
    Access, FleetSource, Pass, PassResult, Setup, SourceSettings, Trust, reconcile_once,
};
use pressluft::git::Credentials;
use pressluft::store::Store;

use crate::world::{FLEET, World};

const WINDOW: &str = "sun 03:00-05:00 Europe/Berlin";

/// One pass at a moment.
fn pass(world: &World, at: &str) -> Pass {
    let setup = Setup {
        access: Access {
            source: FleetSource::WorkingTree(world.clone()),
            credentials: Credentials::default(),
            cache_dir: None,
            state_dir: world.state(),
        },
        trust: Trust {
            allow_rewind: false,
            signers: None,
        },
        secrets_dir: world.state().join("secrets"),
        sources: SourceSettings {
            directory: world.state().join("sources"),
            copies: world.state().join("cache/sources"),
            allow_private: Vec::new(),
        },
        with_statuses: false,
        reserved: Reserved::default(),
    };
    let now: Timestamp = at.parse().expect("a time");
    std::fs::create_dir_all(world.state()).expect("made");
    let mut store = Store::open(&world.state().join("pressluft.db")).expect("opened");
    reconcile_once(&setup, &mut store, Cause::Interval, now).expect("a pass")
}

fn queued(pass: &Pass) -> (usize, usize) {
    match &pass.result {
        PassResult::Planned { queued, .. } => (queued.jobs, queued.superseded),
        other => panic!("{other:?}"),
    }
}

#[test]
fn changes_wait_for_the_window_and_what_is_queued_does_not() {
    let world = World::new();
    world.write(
        "pressluft.yaml",
        &FLEET.replace(
            "interval: 1h",
            &format!("interval: 1h, windows: [\"{WINDOW}\"]"),
        ),
    );
    world.write_site("acme", "Acme");
    world.push("Sundays only");
    // A Saturday: nothing is queued, and the pass says when to come back.
    let closed = pass(&world, "2026-02-21T12:00:00Z");
    assert_eq!(queued(&closed), (0, 0));
    let opens: Timestamp = "2026-02-22T02:00:00Z".parse().expect("a time");
    assert_eq!(closed.next, Some(opens));
    assert!(world.jobs().is_empty());
    let acme = "site/acme".parse().expect("an id");
    let standing = world
        .store()
        .standing(&acme, opens)
        .expect("read")
        .expect("is wanted");
    assert_eq!(standing.condition.kind(), ConditionKind::Suspended);
    assert_eq!(
        standing.condition.reason(),
        Some("it waits for `reconcile.windows`, of which the next opens at 2026-02-22T02:00:00Z")
    );
    // In the window everything is queued, and what was queued is carried out after it, too.
    let open = pass(&world, "2026-02-22T02:00:00Z");
    assert_eq!(queued(&open), (3, 0));
    let closes: Timestamp = "2026-02-22T04:00:00Z".parse().expect("a time");
    assert_eq!(open.next, Some(closes));
    assert_eq!(queued(&pass(&world, "2026-02-22T04:00:00Z")), (0, 0));
    assert!(
        world.jobs().iter().all(|job| job.ends_with("queued")),
        "{:?}",
        world.jobs()
    );
    assert_eq!(condition(&world, "site/acme"), "reconciling");
    // Nothing is queued for a later commit, and what it makes pointless does not run.
    world.git(["rm", "-q", "sites/acme.yaml"]);
    world.write_site("bakery", "Bakery");
    world.push("A bakery in place of acme");
    let later = pass(&world, "2026-02-22T05:00:00Z");
    let jobs = [
        "node_provision node/web-1 queued",
        "site_create site/acme cancelled",
        "health_check env/acme/production cancelled",
    ];
    assert_eq!(
        (queued(&later), world.jobs()),
        ((0, 2), jobs.map(str::to_owned).to_vec())
    );
    assert_eq!(condition(&world, "node/web-1"), "reconciling");
    assert_eq!(condition(&world, "site/bakery"), "suspended");
    let plans = || world.run(&["audit", "list", "-o", "json"]).expect(0).stdout;
    let before = plans();
    pass(&world, "2026-02-22T05:01:00Z");
    assert_eq!(plans(), before, "waiting leaves no trace");
    // What a person applies does not wait, and stays.
    world
        .run(&["plan", "clone", "--target", "site/bakery", "--out", "saved"])
        .expect(0);
    world.run(&["apply", "saved", "--no-wait"]).expect(0);
    let applied = world.jobs();
    assert_eq!(
        applied.last().expect("a job"),
        "health_check env/bakery/production queued"
    );
    pass(&world, "2026-02-22T05:02:00Z");
    assert_eq!(world.jobs(), applied);
    assert_eq!(condition(&world, "site/bakery"), "reconciling");
    // The next window has the rest.
    world.write_site("florist", "Florist");
    world.push("A florist");
    assert_eq!(queued(&pass(&world, "2026-02-22T05:03:00Z")), (0, 0));
    pass(&world, "2026-03-01T02:00:00Z");
    let jobs = world.jobs();
    let florist = "site_create site/florist queued".to_owned();
    assert!(jobs.contains(&florist), "{jobs:?}");
    world.run(&["audit", "verify"]).expect(0);
}

fn condition(world: &World, id: &str) -> String {
    let now = "2026-02-22T05:00:00Z".parse().expect("a time");
    let id = id.parse().expect("an id");
    let standing = world
        .store()
        .standing(&id, now)
        .expect("read")
        .expect("is wanted");
    standing.condition.kind().to_string()
}
