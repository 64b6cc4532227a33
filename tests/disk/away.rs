//! Nodes that do not answer: all of them are asked, none too often, and nobody waits for ever.

use std::fs;
use std::io::Write;
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};
use pressluft::core::job::ErrorCode;
use pressluft::store::{Finish, Outcome, Scope, Store};

use crate::world::{World, contained, within};

/// An address of this machine that counts who asks, and greets like an SSH server or hangs up.
struct Asked {
    port: u16,
    count: Arc<AtomicUsize>,
}

impl Asked {
    fn new(greets: bool) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("bound");
        let port = listener.local_addr().expect("an address").port();
        let count = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&count);
        // It ends with the test.
        thread::spawn(move || {
            for stream in listener.incoming() {
                counted.fetch_add(1, Ordering::Relaxed);
                if greets && let Ok(mut stream) = stream {
                    drop(stream.write_all(b"SSH-2.0-test\r\n"));
                }
            }
        });
        Self { port, count }
    }

    fn count(&self) -> usize {
        self.count.load(Ordering::Relaxed)
    }
}

/// Queues the fleet; no job gets through to its node, which is looked for at one of these ports.
fn parked(world: &World, ports: &[u16]) {
    world
        .run(&["apply", "--auto-approve", "--no-wait"])
        .expect(0);
    let mut store = Store::open(&world.state("pressluft.db")).expect("opened");
    let now: fn() -> Timestamp = Timestamp::now;
    for port in ports {
        let claim = store.claim("gone", Scope::All, now).expect("claimed");
        let claim = claim.expect("a job for each port");
        let finish = Finish {
            job: claim.job.id,
            token: claim.token,
            outcome: Outcome::Park {
                code: ErrorCode::AnsibleHostUnreachable,
                message: "no route".to_owned(),
                host: "127.0.0.1".to_owned(),
                port: *port,
                next_probe_at: Timestamp::now() + SignedDuration::from_secs(3),
            },
            changes: &[],
        };
        store
            .finish(&finish, "gone", Timestamp::now())
            .expect("parked");
    }
}

#[test]
fn every_node_that_is_away_is_asked_and_none_too_often() {
    if !contained("away::every_node_that_is_away_is_asked_and_none_too_often") {
        return;
    }
    // More than are asked at a time; one of the last to come is back.
    let nodes: Vec<Asked> = (0..20).map(|n| Asked::new(n == 18)).collect();
    let world = World::new(64, 20);
    parked(
        &world,
        &nodes.iter().map(|node| node.port).collect::<Vec<_>>(),
    );
    let worker = world.start("worker", &mut world.command(&["worker"]));
    let is_back = within(Duration::from_secs(15), || world.count("succeeded") == 1);
    assert!(is_back, "{}", worker.said("err"));
    thread::sleep(Duration::from_secs(5));
    let counts: Vec<usize> = nodes.iter().map(Asked::count).collect();
    // Once at the start, and then every two seconds at most.
    let is_fair = counts.iter().all(|count| (1..=12).contains(count));
    assert!(is_fair, "{counts:?}");
    assert_eq!(world.count("queued"), 19);
    drop(worker);
    world.assert_sound();
}

#[test]
fn an_apply_waits_for_a_node_as_long_as_it_was_told_to() {
    if !contained("away::an_apply_waits_for_a_node_as_long_as_it_was_told_to") {
        return;
    }
    let world = World::new(64, 2);
    fs::write(world.path("away"), "").expect("written");
    let begun = Instant::now();
    let apply = ["apply", "--auto-approve", "--wait", "6s"];
    let mut apply = world.start("apply", &mut world.command(&apply));
    // Looks at a node take a few seconds each, and new ones begin all the time.
    let code = apply.end(Duration::from_secs(40));
    assert_eq!(code, 7, "{}", apply.said("err"));
    assert!(begun.elapsed() >= Duration::from_secs(6));
    assert_eq!(world.count("queued"), 2);
    world.assert_sound();
}
