//! The real store on a real file, driven by the same steps as the model and compared with it.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use pressluft::core::change::SpecPatch;
use pressluft::core::event::TaskStatus;
use pressluft::core::id::ResourceId;
use pressluft::core::job::{ErrorCode, JobOrigin, JobStatus, JobType};
use pressluft::core::recorded::{JobId, PlanId, ResourceStatus, Source};
use pressluft::core::spec::Spec;
use pressluft::store::{
    Finish, JobFilter, Joins, NewJob, NewPlan, NewTaskEvent, Outcome, RecordPatch, Revision, Scope,
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
            Step::Enqueue {
                first,
                jobs,
                chained,
                attempts,
                whole,
                joins,
            } => {
                let wanted = match &model.answer {
                    // The model has queued nothing.
                    Answer::Joined(..) => (0..*jobs)
                        .map(|n| {
                            let before = (*chained && n > 0).then(|| model.jobs.len() + n - 1);
                            let place = (first + n) % PLACES.len();
                            let number = model.jobs.len() + n;
                            new_job(number, place, *attempts, model.now(), before.as_slice())
                        })
                        .collect(),
                    _ => self.queued(model, *jobs),
                };
                self.enqueue(model, &wanted, *whole, *joins)
            }
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
            Step::RequestCancel(number) => {
                if model.jobs.is_empty() {
                    return Ok(Answer::Nothing);
                }
                let id = job_id(number % model.jobs.len());
                self.workers[0].request_cancel(id, "no", "ops", at(0))?;
                Ok(Answer::Nothing)
            }
            Step::Hasten(number) => {
                if model.jobs.is_empty() {
                    return Ok(Answer::Nothing);
                }
                let id = job_id(number % model.jobs.len());
                self.workers[0].hasten(id, "ops", at(model.now()))?;
                Ok(Answer::Nothing)
            }
            Step::Answers(worker, place) => {
                let now = at(model.clock(*worker));
                self.workers[*worker].node_answers(PLACES[*place].1, "worker", now)?;
                Ok(Answer::Nothing)
            }
            Step::Silent(worker, place) => {
                let now = at(model.clock(*worker));
                self.workers[*worker].probe_failed(PLACES[*place].1, now)?;
                Ok(Answer::Nothing)
            }
            Step::Record(place, spec) => {
                let changes = [record(*place, *spec)];
                self.workers[0].set_recorded(&changes, &[], "by hand", "ops", at(0))?;
                Ok(Answer::Nothing)
            }
            Step::Wait(_) | Step::SetClock(..) => Ok(Answer::Nothing),
        }
    }

    /// What the model queued last.
    fn queued(&self, model: &Model, count: usize) -> Vec<NewJob> {
        let first = model.jobs.len() - count;
        (first..model.jobs.len())
            .map(|n| {
                let job = &model.jobs[n];
                let (attempts, after) = (job.max_attempts, job.run_after);
                new_job(n, job.place, attempts, after, &job.depends_on)
            })
            .collect()
    }

    fn enqueue(
        &mut self,
        model: &Model,
        jobs: &[NewJob],
        whole: bool,
        joins: bool,
    ) -> Result<Answer, StoreError> {
        let plan = NewPlan {
            id: PlanId::new(at(0), bytes(model.plans, 1)),
            revision: REVISION.to_owned(),
            digest: "digest".to_owned(),
            partial: !whole,
            joins: if joins { Joins::Whole } else { Joins::Nothing },
            expected: vec![],
        };
        let now = at(model.now());
        let enqueued = self.workers[0].enqueue(&plan, jobs, "ops", now)?;
        let superseded = numbers(model, &enqueued.superseded);
        if enqueued.joined.is_empty() {
            return Ok(Answer::Jobs(superseded));
        }
        let number = |id| (0..model.jobs.len()).find(|n| job_id(*n) == id);
        let joined = enqueued.joined.iter();
        let joined = joined.filter_map(|(_, (job, _))| number(*job)).collect();
        Ok(Answer::Joined(joined, superseded))
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
            How::Park => Outcome::Park {
                code,
                message,
                host: "192.0.2.1".to_owned(),
                port: 22,
                next_probe_at: at(seconds + 2),
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
            .leased_jobs()
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
        let away: BTreeMap<String, bool> = store
            .unreachable_nodes()
            .expect("read")
            .into_iter()
            .map(|node| (node.node, node.answers))
            .collect();
        let wanted: BTreeMap<String, bool> = model
            .away
            .iter()
            .map(|(node, answers)| ((*node).to_owned(), *answers))
            .collect();
        assert_eq!(away, wanted, "nodes that were not reached");
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

/// The job with this number, as it is queued.
fn new_job(n: usize, place: usize, attempts: u32, run_after: i64, depends_on: &[usize]) -> NewJob {
    NewJob {
        id: job_id(n),
        job_type: JobType::EnvConfigure,
        resource: id(PLACES[place].0),
        node: PLACES[place].1.to_owned(),
        origin: JobOrigin::Plan,
        max_attempts: attempts,
        run_after: at(run_after),
        status_on_start: Some(ResourceStatus::Deploying),
        status_on_failure: Some(ResourceStatus::Failed),
        reason: "a test".to_owned(),
        changes: r#"["something"]"#.to_owned(),
        has_effects: true,
        payload: "{}".to_owned(),
        depends_on: depends_on.iter().map(|n| job_id(*n)).collect(),
    }
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
    StateChange::Patch(Box::new(RecordPatch {
        id: id(name),
        patch: SpecPatch::of(&spec),
        status: Some(ResourceStatus::Active),
        node: Some(node.to_owned()),
        revision: REVISION.to_owned(),
        source: Some(Source {
            file: "a.yaml".to_owned(),
            line: 1,
        }),
        fingerprints: BTreeMap::new(),
    }))
}
