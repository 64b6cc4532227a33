//! The real store on a real file, driven by the same steps as the model and compared with it.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use pressluft::core::event::TaskStatus;
use pressluft::core::id::ResourceId;
use pressluft::core::job::{ErrorCode, JobStatus, JobType};
use pressluft::core::recorded::{JobId, PlanId, ResourceStatus, Source};
use pressluft::core::spec::Spec;
use pressluft::store::{
    Finish, JobFilter, NewJob, NewPlan, NewRecord, NewTaskEvent, Outcome, Revision, Scope,
    StateChange, Store, StoreError,
};
use proptest_state_machine::StateMachineTest;

use crate::model::{Answer, How, Model, PLACES, Step, WORKERS};

const REVISION: &str = "4f5c7f0d6f0f4c6c8a0b7b2f9f1d6a1e2b3c4d5e";

/// One database and a handle on it for each worker.
pub(crate) struct Real {
    directory: tempfile::TempDir,
    workers: Vec<Store>,
}

impl StateMachineTest for Real {
    type SystemUnderTest = Self;
    type Reference = Model;

    fn init_test(_: &Model) -> Self {
        let directory = tempfile::tempdir().expect("directory");
        let path = directory.path().join("state.db");
        let mut workers: Vec<Store> = (0..WORKERS)
            .map(|_| Store::open(&path).expect("opened"))
            .collect();
        let revision = Revision {
            id: REVISION.to_owned(),
            author: None,
            message: None,
            committed_at: None,
            dirty: false,
        };
        workers[0].save_revision(&revision, at(0)).expect("saved");
        Self { directory, workers }
    }

    fn apply(mut real: Self, model: &Model, step: Step) -> Self {
        let answer = real.step(model, &step).unwrap_or_else(|error| match error {
            StoreError::Stale { .. } => Answer::Stale,
            StoreError::IllegalMove(_) => Answer::Illegal,
            error => panic!("{step:?}: {error:?}"),
        });
        assert_eq!(answer, model.answer, "{step:?}");
        real
    }

    fn check_invariants(real: &Self, model: &Model) {
        real.compare(model);
    }

    fn teardown(real: Self, model: Model) {
        for (n, job) in model.jobs.iter().enumerate() {
            let attempts = real.workers[0].attempts(job_id(n)).expect("read");
            let ends: Vec<_> = attempts.iter().map(|attempt| attempt.outcome).collect();
            assert_eq!(ends, job.attempts, "attempts of job {n}");
        }
        // Closed by all, so that the next one finds only the file.
        let path = real.directory.path().join("state.db");
        drop(real.workers);
        let store = Store::open(&path).expect("opened");
        assert_eq!(store.violations().expect("checked"), []);
    }
}

impl Real {
    /// `model` is what has to come out: it knows clocks and claims, which a step leaves alone
    /// unless it makes them.
    fn step(&mut self, model: &Model, step: &Step) -> Result<Answer, StoreError> {
        match step {
            Step::Enqueue { jobs, .. } => self.enqueue(model, *jobs),
            Step::Claim(worker) => {
                let now = at(model.clock(*worker));
                let name = format!("worker-{worker}");
                let claim = self.workers[*worker].claim(&name, Scope::All, now)?;
                Ok(match claim {
                    None => Answer::Nothing,
                    Some(claim) => {
                        let number = (0..model.jobs.len()).find(|n| job_id(*n) == claim.job.id);
                        Answer::Claimed(number.expect("a job of the model"), claim.token)
                    }
                })
            }
            Step::Heartbeat(number) => {
                let Some(claim) = model.claim(*number) else {
                    return Ok(Answer::Nothing);
                };
                let now = at(model.clock(claim.worker));
                self.workers[claim.worker].heartbeat(job_id(claim.job), claim.token, now)?;
                Ok(Answer::Nothing)
            }
            Step::Events(number) => {
                let Some(claim) = model.claim(*number) else {
                    return Ok(Answer::Nothing);
                };
                let now = at(model.clock(claim.worker));
                let event = NewTaskEvent {
                    at: now,
                    task: "a task".to_owned(),
                    status: TaskStatus::Ok,
                    seconds: None,
                    diff: None,
                    message: None,
                };
                self.workers[claim.worker].append_events(
                    job_id(claim.job),
                    claim.token,
                    &[event],
                    now,
                )?;
                Ok(Answer::Nothing)
            }
            Step::Finish(number, how) => self.finish(model, *number, *how),
            Step::Crash(worker) | Step::Reopen(worker) => {
                let path = self.directory.path().join("state.db");
                self.workers[*worker] = Store::open(&path)?;
                Ok(Answer::Nothing)
            }
            Step::Expire(worker) => {
                let now = at(model.clock(*worker));
                let lost = self.workers[*worker].expire_leases("worker", now)?;
                Ok(Answer::Jobs(numbers(model, &lost)))
            }
            Step::Interrupt(number) => {
                let Some(claim) = model.claim(*number) else {
                    return Ok(Answer::Nothing);
                };
                let now = at(model.clock(claim.worker));
                // Whoever finds out that a process is dead is another one.
                let finder = &mut self.workers[(claim.worker + 1) % WORKERS];
                finder
                    .mark_interrupted(job_id(claim.job), claim.token, "dead", now, "finder", now)
                    .map(Answer::Status)
            }
            Step::Cancel(number) => {
                if model.jobs.is_empty() {
                    return Ok(Answer::Nothing);
                }
                let id = job_id(number % model.jobs.len());
                let cancelled = self.workers[0].cancel_queued(id, "no", "ops", at(0))?;
                Ok(Answer::Jobs(numbers(model, &cancelled)))
            }
            Step::Record(place, spec) => {
                let changes = [record(*place, *spec)];
                self.workers[0].set_recorded(&changes, &[], "by hand", "ops", at(0))?;
                Ok(Answer::Nothing)
            }
            Step::Wait(_) | Step::SetClock(..) => Ok(Answer::Nothing),
        }
    }

    /// Queues what the model queued last.
    fn enqueue(&mut self, model: &Model, count: usize) -> Result<Answer, StoreError> {
        let first = model.jobs.len() - count;
        let jobs: Vec<NewJob> = model.jobs[first..]
            .iter()
            .zip(first..)
            .map(|(job, n)| NewJob {
                id: job_id(n),
                job_type: JobType::EnvConfigure,
                resource: id(PLACES[job.place].0),
                node: PLACES[job.place].1.to_owned(),
                max_attempts: job.max_attempts,
                run_after: at(job.run_after),
                status_on_start: Some(ResourceStatus::Deploying),
                status_on_failure: Some(ResourceStatus::Failed),
                reason: "a test".to_owned(),
                changes: "[]".to_owned(),
                payload: "{}".to_owned(),
                depends_on: job.depends_on.iter().map(|n| job_id(*n)).collect(),
            })
            .collect();
        let plan = NewPlan {
            id: PlanId::new(at(0), bytes(model.plans, 1)),
            revision: REVISION.to_owned(),
            digest: "digest".to_owned(),
            json: "{}".to_owned(),
            partial: false,
            expected: vec![],
        };
        let enqueued = self.workers[0].enqueue(&plan, &jobs, "ops", at(0))?;
        Ok(Answer::Jobs(numbers(model, &enqueued.superseded)))
    }

    fn finish(&mut self, model: &Model, number: usize, how: How) -> Result<Answer, StoreError> {
        let Some(claim) = model.claim(number) else {
            return Ok(Answer::Nothing);
        };
        let seconds = model.clock(claim.worker);
        let (code, message) = (ErrorCode::AnsiblePlayError, "no".to_owned());
        let mut changes = vec![];
        let outcome = match how {
            How::Succeed(spec) => {
                changes.push(record(model.jobs[claim.job].place, spec));
                Outcome::Succeeded
            }
            How::Fail => Outcome::Failed { code, message },
            How::Retry { spends } => Outcome::Retry {
                code,
                message,
                run_after: at(seconds + 5),
                spend_attempt: spends,
            },
            How::Cancel => Outcome::Cancelled { message },
        };
        let finish = Finish {
            job: job_id(claim.job),
            token: claim.token,
            outcome,
            changes: &changes,
        };
        self.workers[claim.worker]
            .finish(&finish, "worker", at(seconds))
            .map(Answer::Status)
    }

    /// Every job, lane and resource, as another process sees them.
    fn compare(&self, model: &Model) {
        let store = &self.workers[WORKERS - 1];
        let filter = JobFilter {
            limit: 10_000,
            ..JobFilter::default()
        };
        let mut found = store.jobs(&filter).expect("read").jobs;
        found.reverse();
        assert_eq!(found.len(), model.jobs.len(), "number of jobs");
        for ((n, wanted), found) in model.jobs.iter().enumerate().zip(&found) {
            assert_eq!(
                (found.id, found.status, found.attempt_count, found.run_after),
                (
                    job_id(n),
                    wanted.status,
                    wanted.attempt_count,
                    at(wanted.run_after)
                ),
                "job {n}"
            );
        }
        let held: BTreeMap<u64, (JobId, Timestamp)> = store
            .held_jobs()
            .expect("read")
            .into_iter()
            .map(|held| (held.token, (held.job.id, held.lease_expires_at)))
            .collect();
        let wanted: BTreeMap<u64, (JobId, Timestamp)> = model
            .jobs
            .iter()
            .enumerate()
            .filter_map(|(n, job)| {
                job.held
                    .map(|(token, until)| (token, (job_id(n), at(until))))
            })
            .collect();
        assert_eq!(held, wanted, "held jobs");
        let heads: BTreeMap<ResourceId, (u64, ResourceStatus)> = store
            .recorded_heads()
            .expect("read")
            .into_iter()
            .map(|(id, head)| (id, (head.generation, head.status)))
            .collect();
        let wanted: BTreeMap<ResourceId, (u64, ResourceStatus)> = model
            .resources
            .iter()
            .enumerate()
            .filter_map(|(place, resource)| {
                Some((id(PLACES[place].0), (resource.generation, resource.status?)))
            })
            .collect();
        assert_eq!(heads, wanted, "recorded resources");
        // The lanes, by the words of the design and not by those of the indexes.
        for (n, job) in found.iter().enumerate() {
            let is_active = |status| matches!(status, JobStatus::Running | JobStatus::Unknown);
            for other in &found[..n] {
                let shares = job.node_id == other.node_id
                    || (job.site_id.is_some() && job.site_id == other.site_id);
                assert!(
                    !(shares && is_active(job.status) && is_active(other.status)),
                    "two active jobs in one lane"
                );
            }
        }
    }
}

/// The moment `seconds` after a fixed one.
fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(1_771_761_600).expect("a time of 2026")
        + SignedDuration::from_secs(seconds)
}

fn id(text: &str) -> ResourceId {
    text.parse().expect("a resource id")
}

fn bytes(n: usize, kind: u8) -> [u8; 10] {
    let mut bytes = [kind; 10];
    bytes[2..].copy_from_slice(&(n as u64).to_be_bytes());
    bytes
}

/// The id of the job with this number.
fn job_id(n: usize) -> JobId {
    JobId::new(at(0), bytes(n, 2))
}

fn numbers(model: &Model, jobs: &[JobId]) -> Vec<usize> {
    let mut numbers: Vec<usize> = (0..model.jobs.len())
        .filter(|n| jobs.contains(&job_id(*n)))
        .collect();
    assert_eq!(
        numbers.len(),
        jobs.len(),
        "jobs that the model does not have"
    );
    numbers.sort_unstable();
    numbers
}

fn record(place: usize, spec: u32) -> StateChange {
    let (name, node) = PLACES[place];
    let spec: Spec = serde_json::from_value(serde_json::json!({ "n": spec })).expect("a spec");
    StateChange::Put(Box::new(NewRecord {
        id: id(name),
        spec,
        status: ResourceStatus::Active,
        node: Some(node.to_owned()),
        revision: REVISION.to_owned(),
        source: Source {
            file: "a.yaml".to_owned(),
            line: 1,
        },
        secret_fingerprints: BTreeMap::new(),
        protect: false,
    }))
}
