//! Random interleavings of everything that happens to a queue, against one real file.

use pressluft::core::job::{ErrorCode, JobType};
use pressluft::core::recorded::JobId;
use pressluft::store::{Claim, Finish, NewJob, Outcome, Scope, Store, StoreError};
use proptest::prelude::*;

use crate::fixture::{Fixture, at, job, plan, record};

#[derive(Clone, Copy, Debug)]
enum Step {
    Enqueue {
        first: usize,
        jobs: usize,
        chained: bool,
    },
    Claim {
        worker: usize,
    },
    Succeed {
        which: usize,
    },
    Fail {
        which: usize,
    },
    Retry {
        which: usize,
        spend_attempt: bool,
    },
    Interrupt {
        which: usize,
    },
    Heartbeat {
        which: usize,
    },
    Wait {
        seconds: i64,
    },
    Cancel {
        which: usize,
    },
    /// A worker that was interrupted comes back and writes.
    Return {
        which: usize,
    },
}

fn step() -> impl Strategy<Value = Step> {
    let which = 0_usize..16;
    prop_oneof![
        2 => (0_usize..6, 1_usize..5, any::<bool>())
            .prop_map(|(first, jobs, chained)| Step::Enqueue { first, jobs, chained }),
        5 => (0_usize..3).prop_map(|worker| Step::Claim { worker }),
        3 => which.clone().prop_map(|which| Step::Succeed { which }),
        1 => which.clone().prop_map(|which| Step::Fail { which }),
        1 => (which.clone(), any::<bool>())
            .prop_map(|(which, spend_attempt)| Step::Retry { which, spend_attempt }),
        1 => which.clone().prop_map(|which| Step::Interrupt { which }),
        1 => which.clone().prop_map(|which| Step::Heartbeat { which }),
        1 => (1_i64..90).prop_map(|seconds| Step::Wait { seconds }),
        1 => which.clone().prop_map(|which| Step::Cancel { which }),
        1 => which.prop_map(|which| Step::Return { which }),
    ]
}

/// Two sites on two nodes; the staging environment of the first is on the other node.
const PLACES: [(&str, &str); 6] = [
    ("node/web-1", "web-1"),
    ("node/web-2", "web-2"),
    ("env/acme/production", "web-1"),
    ("env/acme/staging", "web-2"),
    ("env/bakery/production", "web-2"),
    ("site/acme", "web-1"),
];

struct World {
    fixture: Fixture,
    others: Vec<Store>,
    now: i64,
    held: Vec<Claim>,
    gone: Vec<Claim>,
    known: Vec<JobId>,
}

impl World {
    fn new() -> Self {
        let fixture = Fixture::new();
        let others = (0..2)
            .map(|_| Store::open(&fixture.path()).expect("opened"))
            .collect();
        Self {
            fixture,
            others,
            now: 0,
            held: vec![],
            gone: vec![],
            known: vec![],
        }
    }

    fn take_held(&mut self, which: usize) -> Option<Claim> {
        if self.held.is_empty() {
            return None;
        }
        let which = which % self.held.len();
        Some(self.held.swap_remove(which))
    }

    fn finish(&mut self, which: usize, outcome: Outcome, memory: Option<&str>) {
        let Some(claim) = self.take_held(which) else {
            return;
        };
        let changes: Vec<_> = memory
            .map(|memory| record(&claim.job.resource.to_string(), memory))
            .into_iter()
            .collect();
        let finish = Finish {
            job: claim.job.id,
            token: claim.token,
            outcome,
            changes: &changes,
        };
        let lost = self.fixture.store.finish(&finish, "w", at(self.now));
        match lost {
            Ok(_) => {}
            // Its lease ended: it is settled like that of a dead worker.
            Err(StoreError::Stale { .. }) => self.gone.push(claim),
            Err(error) => panic!("{error}"),
        }
    }

    fn run(&mut self, step: Step) {
        let now = at(self.now);
        match step {
            Step::Enqueue {
                first,
                jobs,
                chained,
            } => {
                let mut queued: Vec<NewJob> = Vec::new();
                for n in 0..jobs {
                    let (resource, node) = PLACES[(first + n) % PLACES.len()];
                    let after: Vec<JobId> = queued
                        .last()
                        .filter(|_| chained)
                        .map(|job| job.id)
                        .into_iter()
                        .collect();
                    let mut new = job(JobType::EnvConfigure, resource, node, &after);
                    new.max_attempts = 2;
                    queued.push(new);
                }
                self.known.extend(queued.iter().map(|job| job.id));
                self.fixture
                    .store
                    .enqueue(&plan(&[]), &queued, "ops", now)
                    .expect("enqueued");
            }
            Step::Claim { worker } => {
                let store = match worker {
                    0 => &mut self.fixture.store,
                    other => &mut self.others[other - 1],
                };
                let name = format!("worker-{worker}");
                if let Some(claim) = store.claim(&name, Scope::All, now).expect("claimed") {
                    assert!(
                        self.gone
                            .iter()
                            .chain(&self.held)
                            .all(|c| c.token < claim.token)
                    );
                    self.held.push(claim);
                }
            }
            Step::Succeed { which } => {
                let memory = format!("{which}M");
                self.finish(which, Outcome::Succeeded, Some(&memory));
            }
            Step::Fail { which } => {
                let code = ErrorCode::AnsiblePlayError;
                self.finish(
                    which,
                    Outcome::Failed {
                        code,
                        message: "no".to_owned(),
                    },
                    None,
                );
            }
            Step::Retry {
                which,
                spend_attempt,
            } => {
                let code = ErrorCode::AnsibleHostUnreachable;
                let message = "later".to_owned();
                let run_after = at(self.now + 5);
                let outcome = Outcome::Retry {
                    code,
                    message,
                    run_after,
                    spend_attempt,
                };
                self.finish(which, outcome, None);
            }
            Step::Interrupt { which } => {
                let Some(claim) = self.take_held(which) else {
                    return;
                };
                let (id, token) = (claim.job.id, claim.token);
                self.fixture
                    .store
                    .mark_interrupted(id, token, "died", now, "w", now)
                    .expect("was held");
                self.gone.push(claim);
            }
            Step::Heartbeat { which } => {
                if let Some(claim) = self.take_held(which) {
                    match self.fixture.store.heartbeat(claim.job.id, claim.token, now) {
                        Ok(_) => self.held.push(claim),
                        Err(StoreError::Stale { .. }) => self.gone.push(claim),
                        Err(error) => panic!("{error}"),
                    }
                }
            }
            Step::Wait { seconds } => {
                self.now += seconds;
                self.fixture
                    .store
                    .expire_leases("w", at(self.now))
                    .expect("looked");
                for held in self.fixture.store.leased_jobs().expect("read") {
                    if held.lease_expires_at < at(self.now) {
                        let (id, token) = (held.job.id, held.token);
                        self.held.retain(|claim| claim.token != token);
                        self.fixture
                            .store
                            .mark_interrupted(
                                id,
                                token,
                                "lease ended",
                                at(self.now),
                                "w",
                                at(self.now),
                            )
                            .expect("was held");
                    }
                }
            }
            Step::Cancel { which } => {
                if self.known.is_empty() {
                    return;
                }
                let id = self.known[which % self.known.len()];
                match self.fixture.store.cancel_queued(id, "no", "ops", now) {
                    Ok(_) | Err(StoreError::IllegalMove(_)) => {}
                    Err(error) => panic!("{error}"),
                }
            }
            Step::Return { which } => {
                if self.gone.is_empty() {
                    return;
                }
                let claim = &self.gone[which % self.gone.len()];
                let before = self.fixture.store.job(claim.job.id).expect("read");
                let changes = [record(&claim.job.resource.to_string(), "66M")];
                let outcome = Outcome::Succeeded;
                let finish = Finish {
                    job: claim.job.id,
                    token: claim.token,
                    outcome,
                    changes: &changes,
                };
                let refused = self.fixture.store.finish(&finish, "w", now);
                assert!(
                    matches!(refused, Err(StoreError::Stale { .. })),
                    "a stale token wrote"
                );
                assert_eq!(self.fixture.store.job(claim.job.id).expect("read"), before);
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn no_interleaving_breaks_an_invariant(steps in prop::collection::vec(step(), 1..60)) {
        let mut world = World::new();
        for step in steps {
            world.run(step);
        }
        prop_assert_eq!(world.fixture.store.violations().expect("checked"), vec![]);
    }
}
