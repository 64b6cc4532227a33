//! One machine is one node, whoever is first.

use pressluft::core::facts::NodeFacts;
use pressluft::core::job::{ErrorCode, JobType};
use pressluft::core::recorded::JobId;
use pressluft::store::{Finish, HostKeySource, Outcome, Scope};

use crate::fixture::{Fixture, at, job, record, succeed};

const ID: &str = "0f0e0d0c0b0a09080706050403020100";
const KEY: &str = "ssh-ed25519 AAAA1";

fn facts(machine_id: &str) -> NodeFacts {
    NodeFacts {
        distribution: "debian".to_owned(),
        version: "12".to_owned(),
        codename: "bookworm".to_owned(),
        architecture: "amd64".to_owned(),
        kernel: "6.1".to_owned(),
        memory_bytes: 1 << 31,
        cpus: 2,
        machine_id: machine_id.to_owned(),
        hostname: "web".to_owned(),
        python: "3.11".to_owned(),
        control_address: None,
        ipv4: vec![],
        ipv6: vec![],
        virtualization: None,
        systemd: true,
        disk_free_bytes: 1,
    }
}

impl Fixture {
    /// A job of a node that runs now.
    fn provision(&mut self, node: &str) -> (JobId, u64) {
        let resource = format!("node/{node}");
        let only = job(JobType::NodeProvision, &resource, node, &[]);
        self.enqueue(std::slice::from_ref(&only));
        let claim = self.store.claim("w", Scope::All, at(1)).expect("claimed");
        (only.id, claim.expect("a job").token)
    }

    fn claim_machine(&mut self, held: (JobId, u64), node: &str, id: &str) -> Option<String> {
        let claimed = self
            .store
            .claim_machine(held, node, &facts(id), "ops", at(2));
        claimed.expect("asked")
    }

    fn fail(&mut self, (job, token): (JobId, u64)) {
        let finish = Finish {
            job,
            token,
            outcome: Outcome::Failed {
                code: ErrorCode::DuplicateMachine,
                message: "the same machine".to_owned(),
            },
            changes: &[],
        };
        self.store.finish(&finish, "w", at(3)).expect("finished");
    }
}

#[test]
fn of_two_nodes_at_their_first_contact_one_has_the_machine() {
    let mut fixture = Fixture::new();
    let (one, two) = (fixture.provision("web-1"), fixture.provision("web-2"));
    assert_eq!(fixture.claim_machine(one, "web-1", ID), None);
    assert_eq!(fixture.claim_machine(one, "web-1", ID), None);
    let first = fixture.claim_machine(two, "web-2", ID);
    assert_eq!(first.as_deref(), Some("web-1"));
    assert_eq!(fixture.store.node_facts("web-2").expect("read"), None);
    // An image that has no id yet is like no other.
    assert_eq!(fixture.claim_machine(two, "web-2", "uninitialized"), None);
    assert_eq!(fixture.claim_machine(two, "web-2", ""), None);
    assert_eq!(
        fixture.claim_machine(two, "web-2", &ID.replace('0', "a")),
        None
    );
    fixture.assert_sound();
}

#[test]
fn a_node_that_was_given_up_holds_nothing_back_and_one_that_is_recorded_does() {
    let mut fixture = Fixture::new();
    let one = fixture.provision("web-1");
    assert_eq!(fixture.claim_machine(one, "web-1", ID), None);
    fixture.fail(one);
    // It was the wrong name: nothing of it is recorded.
    let two = fixture.provision("web-2");
    assert_eq!(fixture.claim_machine(two, "web-2", ID), None);
    let recorded = [record("node/web-2", "1M")];
    let finish = succeed(two.0, two.1, &recorded);
    fixture.store.finish(&finish, "w", at(3)).expect("finished");
    // Who is recorded was there before, although the other one was seen earlier.
    let again = fixture.provision("web-1");
    let first = fixture.claim_machine(again, "web-1", ID);
    assert_eq!(first.as_deref(), Some("web-2"));
    fixture.fail(again);
    let later = fixture.provision("web-2");
    assert_eq!(fixture.claim_machine(later, "web-2", ID), None);
    fixture.assert_sound();
}

#[test]
fn a_node_gets_another_machine_once_that_is_free() {
    let mut fixture = Fixture::new();
    for node in ["web-1", "web-2"] {
        let held = fixture.provision(node);
        let id = format!("{}{}", &ID[1..], &node[4..]);
        assert_eq!(fixture.claim_machine(held, node, &id), None);
        let recorded = [record(&format!("node/{node}"), "1M")];
        let finish = succeed(held.0, held.1, &recorded);
        fixture.store.finish(&finish, "w", at(3)).expect("finished");
    }
    let one = fixture.provision("web-1");
    assert_eq!(fixture.claim_machine(one, "web-1", ID), None);
    let facts = fixture.store.node_facts("web-1").expect("read");
    assert_eq!(facts.map(|facts| facts.machine_id), Some(ID.to_owned()));
    let two = fixture.provision("web-2");
    let old = format!("{}1", &ID[1..]);
    assert_eq!(fixture.claim_machine(two, "web-2", &old), None);
    let first = fixture.claim_machine(two, "web-2", ID);
    assert_eq!(first.as_deref(), Some("web-1"));
    fixture.assert_sound();
}

#[test]
fn a_host_key_is_that_of_one_node() {
    let mut fixture = Fixture::new();
    let (one, two) = (fixture.provision("web-1"), fixture.provision("web-2"));
    let mut enroll = |held, node, key, at_second| {
        let store = &mut fixture.store;
        let enrolled = store.enroll_host_key(held, node, key, "ops", at(at_second));
        enrolled.expect("asked")
    };
    assert_eq!(enroll(one, "web-1", KEY, 1), None);
    assert_eq!(enroll(two, "web-2", KEY, 2).as_deref(), Some("web-1"));
    assert_eq!(enroll(two, "web-2", "ssh-ed25519 AAAA2", 2), None);
    let of = |node| fixture.store.node_with_host_key(node, KEY).expect("read");
    assert_eq!((of("web-1"), of("web-2")), (None, Some("web-1".to_owned())));
    assert_eq!(fixture.store.host_keys("web-2").expect("read").len(), 1);

    // As an earlier version recorded it: the second one is refused, the first goes on.
    let keys = [KEY.to_owned()];
    let store = &mut fixture.store;
    store
        .set_host_keys("web-2", &keys, HostKeySource::Enrolled, "ops", at(5))
        .expect("set");
    let of = |node| store.node_with_host_key(node, KEY).expect("read");
    assert_eq!((of("web-1"), of("web-2")), (None, Some("web-1".to_owned())));
    fixture.assert_sound();
}
