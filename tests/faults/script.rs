//! A fixed sequence of everything that the store does, made from a seed.
//!
//! Times, ids and choices follow from the seed, the place in the sequence and what the
//! database holds. So whatever process carries out a step, and however often the sequence is
//! broken off and taken up again, the database after each step has to be the same.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use jiff::{SignedDuration, Timestamp};
use pressluft::core::change::SpecPatch;
use pressluft::core::event::TaskStatus;
use pressluft::core::facts::NodeFacts;
use pressluft::core::id::ResourceId;
use pressluft::core::job::{ErrorCode, JobOrigin, JobStatus, JobType};
use pressluft::core::recorded::{JobId, PlanId, ResourceStatus, Source};
use pressluft::store::{
    Domain, Finish, GeneratedSecret, HostKeySource, JobFilter, Joins, NewJob, NewPlan,
    NewTaskEvent, Outcome, Process, RecordPatch, Release, ReleaseHealth, Revision, Scope,
    StateChange, Store, StoreError, TlsStatus,
};

use crate::account::{self, Account};
use crate::past::{self, Past};
use crate::random::Random;

pub(crate) const REVISION: &str = "4f5c7f0d6f0f4c6c8a0b7b2f9f1d6a1e2b3c4d5e";

/// How an attempt ends.
#[derive(Clone, Copy, Debug)]
pub(crate) enum End {
    Succeed,
    Fail,
    Retry,
    /// Without spending an attempt.
    Later,
    /// Its node cannot be reached.
    Park,
    Cancel,
}

/// One call of the store.
#[derive(Clone, Debug)]
pub(crate) enum Step {
    Open,
    Revision,
    HostKeys(u64),
    Secret(u64),
    Generated,
    Blob,
    /// Records a resource (by its place) without a job.
    Record(usize),
    /// Queues jobs for these places, each waiting for the one before when `chained`.
    Enqueue {
        places: Vec<usize>,
        chained: bool,
        attempts: u32,
        /// Whether it is a plan of the whole fleet, and whether equal work is enough.
        whole: bool,
        joins: bool,
    },
    Claim,
    Process(usize),
    Events(usize, usize),
    Heartbeat(usize),
    Finish(usize, End),
    /// A write with a token that nobody holds.
    StaleFinish(usize),
    Expire,
    Interrupt(usize),
    Cancel(usize),
    RequestCancel(usize),
    Hasten(usize),
    Answers(usize),
    Silent(usize),
    Account(Account),
    /// Queues a look by a schedule.
    Look,
    Past(Past),
}

/// Two sites on two nodes; the staging environment of the first is on the other node.
const PLACES: [(&str, &str); 6] = [
    ("node/web-1", "web-1"),
    ("site/acme", "web-1"),
    ("env/acme/production", "web-1"),
    ("env/acme/staging", "web-2"),
    ("env/bakery/production", "web-2"),
    ("node/web-2", "web-2"),
];

/// The sequence of one seed.
#[derive(Clone, Debug)]
pub(crate) struct Script {
    seed: u64,
    pub(crate) steps: Vec<Step>,
}

/// A database that a script works on.
#[derive(Debug)]
pub(crate) struct Session {
    path: PathBuf,
    store: Option<Store>,
}

impl Session {
    /// Not opened before a step needs it.
    pub(crate) fn new(path: &Path) -> Self {
        Self {
            path: path.to_owned(),
            store: None,
        }
    }

    fn store(&mut self) -> Result<&mut Store, StoreError> {
        if self.store.is_none() {
            self.store = Some(Store::open(&self.path)?);
        }
        self.store
            .as_mut()
            .ok_or_else(|| StoreError::Missing(self.path.clone()))
    }
}

impl Script {
    /// A fixed part that reaches everything, then `random` more steps.
    pub(crate) fn new(seed: u64, random: usize) -> Self {
        let mut steps = fixed();
        let mut numbers = Random::new(seed);
        for _ in 0..random {
            steps.push(any(&mut numbers));
        }
        Self { seed, steps }
    }

    pub(crate) fn seed(&self) -> u64 {
        self.seed
    }

    /// When the step with this index happens.
    pub(crate) fn at(&self, index: usize) -> Timestamp {
        let mut seconds = 0;
        for step in &self.steps[..=index.min(self.steps.len() - 1)] {
            seconds += if matches!(step, Step::Expire) { 100 } else { 1 };
        }
        base() + SignedDuration::from_secs(seconds)
    }

    /// Does the step with this index. That the store refuses it for what the database says is
    /// a result like any other.
    pub(crate) fn run(&self, session: &mut Session, index: usize) -> Result<(), StoreError> {
        match self.attempt(session, index) {
            Err(
                StoreError::Stale { .. } | StoreError::IllegalMove(_) | StoreError::StalePlan(_),
            ) => Ok(()),
            other => other,
        }
    }

    fn attempt(&self, session: &mut Session, index: usize) -> Result<(), StoreError> {
        let now = self.at(index);
        let step = &self.steps[index];
        // A handle remembers the node of its last claim, which another process would not know.
        let mut fresh;
        let store = if matches!(step, Step::Claim) {
            session.store()?;
            fresh = Store::open(&session.path)?;
            &mut fresh
        } else {
            session.store()?
        };
        match step {
            Step::Open => Ok(()),
            Step::Revision => store.save_revision(&revision(), now),
            Step::HostKeys(n) => {
                let keys = [format!("ssh-ed25519 AAAA{n}"), format!("ssh-rsa BBBB{n}")];
                store
                    .set_host_keys("web-1", &keys, HostKeySource::Enrolled, "ops", now)
                    .map(drop)
            }
            Step::Secret(n) => {
                let text = format!("ciphertext {n}");
                store
                    .set_secret("s3", text.as_bytes(), &format!("f{n}"), "ops", now)
                    .map(drop)
            }
            Step::Generated => {
                let secrets = ["db", "redis"].map(|name| GeneratedSecret {
                    name: name.to_owned(),
                    ciphertext: format!("{name} {index}").into_bytes(),
                });
                let resource = resource(PLACES[2].0);
                store
                    .keep_generated_secrets(&resource, &secrets, now)
                    .map(drop)
            }
            Step::Blob => store
                .keep_secret_blob("s3", format!("blob {index}").as_bytes())
                .map(drop),
            Step::Record(place) => {
                let changes = self.changes(*place, index, now);
                store.set_recorded(&changes, &[], "a test", "ops", now)
            }
            Step::Enqueue {
                places,
                chained,
                attempts,
                whole,
                joins,
            } => {
                let jobs = self.jobs(places, *chained, *attempts, index, now);
                let plan = NewPlan {
                    id: PlanId::new(now, self.bytes(index, usize::MAX)),
                    revision: REVISION.to_owned(),
                    digest: format!("digest {index}"),
                    partial: !whole,
                    joins: if *joins { Joins::Whole } else { Joins::Nothing },
                    expected: vec![],
                };
                store.enqueue(&plan, &jobs, "ops", now).map(drop)
            }
            Step::Claim => store.claim("worker", Scope::All, now).map(drop),
            Step::Process(n) => match held(store, *n)? {
                Some((job, token)) => {
                    let process = Process {
                        pid: 7,
                        start: token,
                        boot_id: "boot".to_owned(),
                    };
                    store.set_attempt_process(job, token, &process, now)
                }
                None => Ok(()),
            },
            Step::Events(n, count) => match held(store, *n)? {
                Some((job, token)) => {
                    let events: Vec<_> = (0..*count).map(|n| event(n, now)).collect();
                    store.append_events(job, token, &events, now)
                }
                None => Ok(()),
            },
            Step::Heartbeat(n) => match held(store, *n)? {
                Some((job, token)) => store.heartbeat(job, token, now).map(drop),
                None => Ok(()),
            },
            Step::Finish(n, end) => match held(store, *n)? {
                Some((job, token)) => self.finish(store, job, token, *end, index, now),
                None => Ok(()),
            },
            Step::StaleFinish(n) => match held(store, *n)? {
                Some((job, token)) => {
                    self.finish(store, job, token + 1_000_000, End::Succeed, index, now)
                }
                None => Ok(()),
            },
            Step::Expire => store.expire_leases("worker", now).map(drop),
            Step::Interrupt(n) => match held(store, *n)? {
                Some((job, token)) => store
                    .mark_interrupted(job, token, "it died", now, "worker", now)
                    .map(drop),
                None => Ok(()),
            },
            Step::Cancel(n) => {
                let filter = JobFilter {
                    status: Some(JobStatus::Queued),
                    limit: 100,
                    ..JobFilter::default()
                };
                let queued = store.jobs(&filter)?.jobs;
                match queued.len() {
                    0 => Ok(()),
                    length => store
                        .cancel_queued(queued[n % length].id, "no", "ops", now)
                        .map(drop),
                }
            }
            Step::RequestCancel(n) => match held(store, *n)? {
                Some((job, _)) => store.request_cancel(job, "no", "ops", now),
                None => Ok(()),
            },
            Step::Hasten(n) => {
                let filter = JobFilter {
                    status: Some(JobStatus::Queued),
                    limit: 100,
                    ..JobFilter::default()
                };
                let queued = store.jobs(&filter)?.jobs;
                match queued.len() {
                    0 => Ok(()),
                    length => store.hasten(queued[n % length].id, "ops", now),
                }
            }
            Step::Answers(n) => {
                let node = PLACES[n % PLACES.len()].1;
                store.node_answers(node, "worker", now).map(drop)
            }
            Step::Silent(n) => store.probe_failed(PLACES[n % PLACES.len()].1, now),
            Step::Account(step) => account::run(*step, store, now),
            Step::Look => self.look(store, index, now),
            Step::Past(step) => past::run(*step, store, now),
        }
    }

    fn finish(
        &self,
        store: &mut Store,
        job: JobId,
        token: u64,
        end: End,
        index: usize,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let known = store.job(job)?;
        let looks = known.as_ref().is_some_and(|job| job.job_type.only_looks());
        let place = known.and_then(|job| {
            let name = job.resource.to_string();
            PLACES.iter().position(|(resource, _)| *resource == name)
        });
        let code = ErrorCode::AnsiblePlayError;
        let message = "it did not work".to_owned();
        let (outcome, changes) = match end {
            // What looks changes nothing.
            End::Succeed if looks => (Outcome::Succeeded, vec![]),
            End::Succeed => {
                let changes = self.changes(place.unwrap_or(0), index, now);
                (Outcome::Succeeded, changes)
            }
            End::Fail => (Outcome::Failed { code, message }, vec![]),
            End::Park => {
                let outcome = Outcome::Park {
                    code,
                    message,
                    host: "192.0.2.1".to_owned(),
                    port: 22,
                    next_probe_at: now + SignedDuration::from_secs(2),
                };
                (outcome, vec![])
            }
            End::Retry | End::Later => {
                let outcome = Outcome::Retry {
                    code,
                    message,
                    run_after: now + SignedDuration::from_secs(2),
                    spend_attempt: matches!(end, End::Retry),
                };
                (outcome, vec![])
            }
            End::Cancel => (Outcome::Cancelled { message }, vec![]),
        };
        let finish = Finish {
            job,
            token,
            outcome,
            changes: &changes,
        };
        store.finish(&finish, "worker", now).map(drop)
    }

    /// A health check of the environment that has the other node to itself.
    fn look(&self, store: &mut Store, index: usize, now: Timestamp) -> Result<(), StoreError> {
        let jobs: Vec<NewJob> = self
            .jobs(&[4], false, 1, index, now)
            .into_iter()
            .map(|job| NewJob {
                job_type: JobType::HealthCheck,
                origin: JobOrigin::Schedule,
                status_on_start: None,
                changes: "[]".to_owned(),
                has_effects: false,
                ..job
            })
            .collect();
        let plan = NewPlan {
            id: PlanId::new(now, self.bytes(index, usize::MAX)),
            revision: REVISION.to_owned(),
            digest: format!("digest {index}"),
            partial: true,
            joins: Joins::Nothing,
            expected: vec![],
        };
        store.enqueue_requests(&plan, &jobs, "ops", now).map(drop)
    }

    fn jobs(
        &self,
        places: &[usize],
        chained: bool,
        attempts: u32,
        index: usize,
        now: Timestamp,
    ) -> Vec<NewJob> {
        let mut jobs: Vec<NewJob> = Vec::new();
        for (n, place) in places.iter().enumerate() {
            let (name, node) = PLACES[*place];
            jobs.push(NewJob {
                id: JobId::new(now, self.bytes(index, n)),
                job_type: JobType::EnvConfigure,
                resource: resource(name),
                node: node.to_owned(),
                origin: JobOrigin::Plan,
                max_attempts: attempts,
                run_after: now,
                status_on_start: Some(ResourceStatus::Deploying),
                status_on_failure: Some(ResourceStatus::Failed),
                reason: "it is new".to_owned(),
                changes: r#"["something"]"#.to_owned(),
                has_effects: true,
                payload: "{}".to_owned(),
                depends_on: jobs
                    .last()
                    .filter(|_| chained)
                    .map(|job| job.id)
                    .into_iter()
                    .collect(),
            });
        }
        jobs
    }

    /// All that a success can leave: the record, facts of a node, a release, a domain, a token.
    fn changes(&self, place: usize, index: usize, now: Timestamp) -> Vec<StateChange> {
        let (name, node) = PLACES[place];
        let id = resource(name);
        let spec = serde_json::from_value(serde_json::json!({ "memory": index }))
            .expect("a spec is an object");
        let mut changes = vec![StateChange::Patch(Box::new(RecordPatch {
            id: id.clone(),
            patch: SpecPatch::of(&spec),
            status: Some(ResourceStatus::Active),
            node: Some(node.to_owned()),
            revision: REVISION.to_owned(),
            source: Some(Source {
                file: "a.yaml".to_owned(),
                line: 3,
            }),
            fingerprints: BTreeMap::new(),
        }))];
        match &id {
            ResourceId::Node(_) => changes.push(StateChange::Facts {
                node: node.to_owned(),
                facts: Box::new(facts(index as u64)),
            }),
            ResourceId::Env { .. } => changes.extend([
                StateChange::Release(Release {
                    environment: id.clone(),
                    name: format!("release-{index}"),
                    code_ref: None,
                    wordpress_version: None,
                    health: ReleaseHealth::Healthy,
                    active: true,
                    created_at: now,
                }),
                StateChange::Domain(Domain {
                    name: format!("{}.example", name.replace('/', "-")),
                    environment: id.clone(),
                    primary: true,
                    tls: TlsStatus::Pending,
                    expires_at: None,
                }),
                StateChange::UsedToken {
                    resource: id,
                    field: "sync".to_owned(),
                    token: format!("token-{index}"),
                },
            ]),
            ResourceId::Fleet | ResourceId::Site(_) => {}
        }
        changes
    }

    /// Ten bytes that follow from the seed, for ids.
    fn bytes(&self, index: usize, n: usize) -> [u8; 10] {
        let hash = blake3::hash(format!("{} {index} {n}", self.seed).as_bytes());
        let mut bytes = [0; 10];
        bytes.copy_from_slice(&hash.as_bytes()[..10]);
        bytes
    }
}

/// Reaches every branch of every writing function once.
fn fixed() -> Vec<Step> {
    let enqueue = |places: &[usize], chained| Step::Enqueue {
        places: places.to_vec(),
        chained,
        attempts: 2,
        whole: false,
        joins: false,
    };
    let whole = |places: &[usize]| Step::Enqueue {
        places: places.to_vec(),
        chained: false,
        attempts: 2,
        whole: true,
        joins: false,
    };
    let joining = |places: &[usize]| Step::Enqueue {
        places: places.to_vec(),
        chained: false,
        attempts: 2,
        whole: false,
        joins: true,
    };
    let mut steps = vec![
        Step::Open,
        Step::Revision,
        Step::HostKeys(1),
        Step::HostKeys(2),
        Step::Secret(1),
        Step::Secret(2),
        Step::Generated,
        Step::Blob,
        Step::Record(2),
        Step::Record(2),
        enqueue(&[0, 1, 2], true),
        Step::Claim,
        Step::Process(0),
        Step::Events(0, 3),
        Step::Heartbeat(0),
        Step::StaleFinish(0),
        Step::Finish(0, End::Succeed),
        Step::Claim,
        Step::Finish(0, End::Fail),
        // Planned, then moved by somebody else.
        enqueue(&[2, 1], true),
        Step::Record(2),
        Step::Claim,
        // Superseded, with what waits for it.
        enqueue(&[0, 1], true),
        enqueue(&[0, 3, 4], false),
        Step::Claim,
        Step::Claim,
        Step::Process(1),
        Step::Events(1, 2),
        Step::Finish(0, End::Retry),
        Step::Finish(0, End::Later),
        Step::Claim,
        Step::Claim,
        Step::Expire,
        Step::Interrupt(0),
        Step::Claim,
        Step::Interrupt(0),
        Step::Claim,
        Step::Finish(0, End::Cancel),
        enqueue(&[0, 1, 2], true),
        Step::Cancel(2),
        enqueue(&[4, 5], false),
        Step::Claim,
        Step::Finish(0, End::Succeed),
        Step::Interrupt(0),
        Step::Interrupt(0),
        Step::Interrupt(0),
        enqueue(&[4, 5], false),
        Step::Claim,
        Step::Interrupt(0),
        // A node goes away and comes back, and once more; then a job gets through.
        whole(&[0, 4]),
        joining(&[4, 0]),
        Step::Claim,
        Step::Claim,
        Step::Finish(0, End::Park),
        Step::Silent(0),
        Step::Silent(4),
        Step::Answers(0),
        Step::Answers(4),
        Step::Claim,
        Step::Finish(0, End::Park),
        Step::Hasten(0),
        Step::Hasten(1),
        Step::Claim,
        Step::Claim,
        joining(&[4]),
        Step::RequestCancel(0),
        Step::Finish(0, End::Retry),
        Step::RequestCancel(0),
        Step::Interrupt(0),
        // The past is cleared up: looks that found nothing new, and what is beyond the limits.
        // Enough entries for a segment of the audit chain, and plans that only end others.
        enqueue(&[1; 80], false),
        whole(&[]),
        enqueue(&[1; 80], false),
        whole(&[]),
        Step::Claim,
        Step::Finish(0, End::Succeed),
        Step::Claim,
        Step::Finish(0, End::Succeed),
    ];
    for _ in 0..5 {
        steps.extend([Step::Look, Step::Claim, Step::Finish(0, End::Succeed)]);
    }
    steps.extend(past::ALL.map(Step::Past));
    steps.extend([
        // Not wanted any more, with what waits for it.
        enqueue(&[0, 1, 2], true),
        enqueue(&[4], false),
        whole(&[5]),
        // What is left has a job that runs, and others that wait for it.
        enqueue(&[0, 1, 2], true),
        Step::Claim,
        // And one that succeeded since the past was cleared up.
        Step::Claim,
        Step::Finish(1, End::Succeed),
    ]);
    steps.extend(account::ALL.map(Step::Account));
    steps
}

fn any(random: &mut Random) -> Step {
    let which = random.index(8);
    match random.below(22) {
        0..=3 => {
            let first = random.index(PLACES.len());
            let count = 1 + random.index(4);
            Step::Enqueue {
                places: (first..first + count).map(|n| n % PLACES.len()).collect(),
                chained: random.one_in(2),
                attempts: 1 + u32::from(random.one_in(2)),
                whole: random.one_in(4),
                joins: random.one_in(2),
            }
        }
        4..=8 => Step::Claim,
        9 => Step::Process(which),
        10 => Step::Events(which, random.index(6)),
        11 => Step::Heartbeat(which),
        12..=14 => Step::Finish(which, End::Succeed),
        15 => {
            let ends = [End::Fail, End::Retry, End::Later, End::Park, End::Cancel];
            Step::Finish(which, ends[random.index(5)])
        }
        16 => Step::Cancel(which),
        17 => Step::Interrupt(which),
        18 => Step::Expire,
        19 => Step::Answers(which),
        20 => match random.below(3) {
            0 => Step::RequestCancel(which),
            1 => Step::Hasten(which),
            _ => Step::Silent(which),
        },
        _ => match random.below(4) {
            0 => Step::Record(random.index(PLACES.len())),
            1 => Step::StaleFinish(which),
            2 => Step::Secret(random.below(3)),
            _ => Step::HostKeys(random.below(3)),
        },
    }
}

fn held(store: &Store, n: usize) -> Result<Option<(JobId, u64)>, StoreError> {
    let held = store.leased_jobs()?;
    Ok(match held.len() {
        0 => None,
        length => Some((held[n % length].job.id, held[n % length].token)),
    })
}

pub(crate) fn base() -> Timestamp {
    Timestamp::from_second(1_771_761_600).expect("a time of 2026")
}

pub(crate) fn resource(text: &str) -> ResourceId {
    text.parse().expect("a resource id")
}

pub(crate) fn revision() -> Revision {
    Revision {
        id: REVISION.to_owned(),
        author: None,
        message: None,
        committed_at: None,
        dirty: false,
    }
}

fn event(n: usize, at: Timestamp) -> NewTaskEvent {
    NewTaskEvent {
        at,
        task: format!("task {n}"),
        status: TaskStatus::Changed,
        seconds: Some(0.5),
        diff: Some("+ a line\n".repeat(n * 40)),
        message: None,
    }
}

fn facts(n: u64) -> NodeFacts {
    NodeFacts {
        distribution: "debian".to_owned(),
        version: "12".to_owned(),
        codename: "bookworm".to_owned(),
        architecture: "amd64".to_owned(),
        kernel: "6".to_owned(),
        memory_bytes: n,
        cpus: 2,
        machine_id: "m".to_owned(),
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
