//! The queue as a person would explain it, in memory and without SQL: what every call of the
//! store has to answer, and what every job has to be afterwards.

use std::collections::{BTreeMap, BTreeSet};

use pressluft::core::job::JobStatus;
use pressluft::core::recorded::ResourceStatus;
use pressluft::store::AttemptEnd;
use proptest::prelude::*;
use proptest_state_machine::ReferenceStateMachine;

/// How many workers there are, each with a handle and a clock of its own.
pub(crate) const WORKERS: usize = 3;

/// Resources and their nodes: two sites; the staging environment of the first is elsewhere.
pub(crate) const PLACES: [(&str, &str); 7] = [
    ("node/web-1", "web-1"),
    ("node/web-2", "web-2"),
    ("env/acme/production", "web-1"),
    ("env/acme/staging", "web-2"),
    ("env/bakery/production", "web-2"),
    ("site/acme", "web-1"),
    ("env/cafe/production", "web-3"),
];

/// One thing that happens.
#[derive(Clone, Debug)]
pub(crate) enum Step {
    /// A plan with a job for each place, each waiting for the one before when `chained`.
    Enqueue {
        first: usize,
        jobs: usize,
        chained: bool,
        attempts: u32,
        /// Whether it is a plan of the whole fleet.
        whole: bool,
        /// Whether equal work that is there already is enough.
        joins: bool,
    },
    Claim(usize),
    Heartbeat(usize),
    Events(usize),
    Finish(usize, How),
    /// The process of a worker dies and another one takes its place.
    Crash(usize),
    /// Only the handle is closed and opened.
    Reopen(usize),
    Expire(usize),
    /// Settles the claim as that of a dead process.
    Interrupt(usize),
    Cancel(usize),
    /// Asks whoever runs the job to stop it.
    RequestCancel(usize),
    /// A queued job is to run now.
    Hasten(usize),
    /// The node of a place answers, as this worker sees.
    Answers(usize, usize),
    /// It does not.
    Silent(usize, usize),
    /// Somebody records another spec by hand.
    Record(usize, u32),
    Wait(i64),
    /// The clock of a worker is set to this many seconds from the true one.
    SetClock(usize, i64),
}

/// How an attempt ends.
#[derive(Clone, Copy, Debug)]
pub(crate) enum How {
    /// With this spec.
    Succeed(u32),
    Fail,
    Retry {
        spends: bool,
    },
    /// The node cannot be reached.
    Park,
    Cancel,
}

/// What the store has to answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    Nothing,
    /// The job and the token that was claimed.
    Claimed(usize, u64),
    Status(JobStatus),
    /// Jobs by their index, in ascending order.
    Jobs(Vec<usize>),
    /// The jobs that do already what was to be queued, one for each, and those that ended.
    Joined(Vec<usize>, Vec<usize>),
    Stale,
    Illegal,
}

#[derive(Clone, Debug)]
pub(crate) struct ModelJob {
    pub(crate) plan: usize,
    pub(crate) place: usize,
    pub(crate) status: JobStatus,
    pub(crate) depends_on: Vec<usize>,
    pub(crate) attempt_count: u32,
    pub(crate) max_attempts: u32,
    pub(crate) run_after: i64,
    /// Of the claim that holds it, with the end of its lease.
    pub(crate) held: Option<(u64, i64)>,
    pub(crate) attempts: Vec<Option<AttemptEnd>>,
    cancel_requested: bool,
    base: u64,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct ModelResource {
    pub(crate) generation: u64,
    pub(crate) spec: u32,
    pub(crate) status: Option<ResourceStatus>,
    recorded_by: Option<usize>,
}

/// A claim that some worker has made, ever.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ModelClaim {
    pub(crate) job: usize,
    pub(crate) token: u64,
    pub(crate) worker: usize,
}

#[derive(Clone, Debug)]
pub(crate) struct Model {
    pub(crate) jobs: Vec<ModelJob>,
    pub(crate) resources: Vec<ModelResource>,
    pub(crate) claims: Vec<ModelClaim>,
    pub(crate) plans: usize,
    /// Nodes that no job has reached since one could not, and whether they have answered since.
    pub(crate) away: BTreeMap<&'static str, bool>,
    /// Seconds since the start; in all, and what each worker's clock is off.
    now: i64,
    offsets: [i64; WORKERS],
    /// The node of the last claim of each handle.
    last: [String; WORKERS],
    tokens: u64,
    pub(crate) answer: Answer,
}

impl ReferenceStateMachine for Model {
    type State = Self;
    type Transition = Step;

    fn init_state() -> BoxedStrategy<Self> {
        Just(Self {
            jobs: vec![],
            resources: vec![ModelResource::default(); PLACES.len()],
            claims: vec![],
            plans: 0,
            away: BTreeMap::new(),
            now: 0,
            offsets: [0; WORKERS],
            last: Default::default(),
            tokens: 0,
            answer: Answer::Nothing,
        })
        .boxed()
    }

    fn transitions(_: &Self) -> BoxedStrategy<Step> {
        let worker = 0..WORKERS;
        // Claims are counted from the newest one, and old ones come up as well.
        let claim = prop_oneof![3 => 0_usize..3, 1 => 0_usize..40];
        let how = prop_oneof![
            5 => (0_u32..4).prop_map(How::Succeed),
            1 => Just(How::Fail),
            2 => any::<bool>().prop_map(|spends| How::Retry { spends }),
            2 => Just(How::Park),
            1 => Just(How::Cancel),
        ];
        let offset = prop_oneof![
            Just(0_i64),
            Just(3600),
            Just(-3600),
            Just(86_400),
            Just(-86_400)
        ];
        prop_oneof![
            4 => (
                (0..PLACES.len(), 1_usize..5, any::<bool>(), 1_u32..4),
                (any::<bool>(), any::<bool>()),
            )
                .prop_map(|((first, jobs, chained, attempts), (whole, joins))| {
                    Step::Enqueue { first, jobs, chained, attempts, whole, joins }
                }),
            10 => worker.clone().prop_map(Step::Claim),
            2 => claim.clone().prop_map(Step::Heartbeat),
            1 => claim.clone().prop_map(Step::Events),
            7 => (claim.clone(), how).prop_map(|(claim, how)| Step::Finish(claim, how)),
            1 => worker.clone().prop_map(Step::Crash),
            1 => worker.clone().prop_map(Step::Reopen),
            2 => worker.clone().prop_map(Step::Expire),
            2 => claim.prop_map(Step::Interrupt),
            1 => (0_usize..30).prop_map(Step::Cancel),
            2 => (0_usize..30).prop_map(Step::RequestCancel),
            1 => (0_usize..30).prop_map(Step::Hasten),
            2 => (worker.clone(), 0..PLACES.len())
                .prop_map(|(worker, place)| Step::Answers(worker, place)),
            1 => (worker.clone(), 0..PLACES.len())
                .prop_map(|(worker, place)| Step::Silent(worker, place)),
            1 => (0..PLACES.len(), 0_u32..4).prop_map(|(place, spec)| Step::Record(place, spec)),
            3 => (1_i64..90).prop_map(Step::Wait),
            1 => (worker, offset).prop_map(|(worker, offset)| Step::SetClock(worker, offset)),
        ]
        .boxed()
    }

    fn apply(mut state: Self, step: &Step) -> Self {
        state.answer = state.step(step);
        state
    }
}

impl Model {
    /// What the clock of a worker says.
    pub(crate) fn clock(&self, worker: usize) -> i64 {
        self.now + self.offsets[worker]
    }

    /// What the true clock says.
    pub(crate) fn now(&self) -> i64 {
        self.now
    }

    /// The claim that is meant by a number, counted from the newest.
    pub(crate) fn claim(&self, number: usize) -> Option<ModelClaim> {
        let length = self.claims.len();
        (length > 0).then(|| self.claims[length - 1 - number % length])
    }

    fn step(&mut self, step: &Step) -> Answer {
        match step {
            Step::Enqueue {
                first,
                jobs,
                chained,
                attempts,
                whole,
                joins,
            } => {
                let places: Vec<usize> = (*first..first + jobs).map(|n| n % PLACES.len()).collect();
                self.enqueue(&places, *chained, *attempts, *whole, *joins)
            }
            Step::Claim(worker) => self.take(*worker),
            Step::Heartbeat(number) => match self.running(*number) {
                Some((claim, Ok(()))) => {
                    let until = self.clock(claim.worker) + 60;
                    self.jobs[claim.job].held = Some((claim.token, until));
                    Answer::Nothing
                }
                Some((_, Err(answer))) => answer,
                None => Answer::Nothing,
            },
            Step::Events(number) => match self.running(*number) {
                Some((_, Err(answer))) => answer,
                Some((_, Ok(()))) | None => Answer::Nothing,
            },
            Step::Finish(number, how) => match self.running(*number) {
                Some((claim, Ok(()))) => self.finish(claim, *how),
                Some((_, Err(answer))) => answer,
                None => Answer::Nothing,
            },
            Step::Crash(worker) | Step::Reopen(worker) => {
                self.last[*worker] = String::new();
                Answer::Nothing
            }
            Step::Expire(worker) => self.expire(*worker),
            Step::Interrupt(number) => match self.claim(*number) {
                Some(claim) => self.interrupt(claim),
                None => Answer::Nothing,
            },
            Step::Cancel(number) => {
                if self.jobs.is_empty() {
                    return Answer::Nothing;
                }
                let job = number % self.jobs.len();
                if self.jobs[job].status != JobStatus::Queued {
                    return Answer::Illegal;
                }
                self.jobs[job].status = JobStatus::Cancelled;
                // Between two attempts it has left its resource in the middle.
                let place = self.jobs[job].place;
                let is_left = self.resources[place].status == Some(ResourceStatus::Deploying);
                if is_left && !self.jobs[job].attempts.is_empty() {
                    self.set_status(place, ResourceStatus::Failed);
                }
                let mut cancelled = self.cancel_dependents(job);
                cancelled.push(job);
                cancelled.sort_unstable();
                Answer::Jobs(cancelled)
            }
            Step::RequestCancel(number) => {
                if self.jobs.is_empty() {
                    return Answer::Nothing;
                }
                let length = self.jobs.len();
                let job = &mut self.jobs[number % length];
                if !matches!(job.status, JobStatus::Running | JobStatus::Unknown) {
                    return Answer::Illegal;
                }
                job.cancel_requested = true;
                Answer::Nothing
            }
            Step::Hasten(number) => {
                if self.jobs.is_empty() {
                    return Answer::Nothing;
                }
                let (now, length) = (self.now, self.jobs.len());
                let job = &mut self.jobs[number % length];
                if job.status != JobStatus::Queued {
                    return Answer::Illegal;
                }
                job.run_after = now;
                let node = PLACES[job.place].1;
                self.wake(node);
                Answer::Nothing
            }
            Step::Answers(_, place) => {
                self.wake(PLACES[*place].1);
                Answer::Nothing
            }
            Step::Silent(..) => Answer::Nothing,
            Step::Record(place, spec) => {
                self.record(*place, *spec, None);
                Answer::Nothing
            }
            Step::Wait(seconds) => {
                self.now += seconds;
                Answer::Nothing
            }
            Step::SetClock(worker, offset) => {
                self.offsets[*worker] = *offset;
                Answer::Nothing
            }
        }
    }

    /// The claim, and whether it still holds its job.
    fn running(&self, number: usize) -> Option<(ModelClaim, Result<(), Answer>)> {
        let claim = self.claim(number)?;
        let job = &self.jobs[claim.job];
        let holds = job.status == JobStatus::Running
            && job.held.is_some_and(|(token, _)| token == claim.token);
        Some((claim, if holds { Ok(()) } else { Err(Answer::Stale) }))
    }

    fn enqueue(
        &mut self,
        places: &[usize],
        chained: bool,
        attempts: u32,
        whole: bool,
        joins: bool,
    ) -> Answer {
        for place in places {
            self.wake(PLACES[*place].1);
        }
        self.plans += 1;
        if joins && let Some(jobs) = self.equal_work(places, whole) {
            let superseded = if whole {
                self.supersede_rest(&jobs)
            } else {
                vec![]
            };
            return Answer::Joined(jobs, superseded);
        }
        let mut superseded = Vec::new();
        for job in 0..self.jobs.len() {
            let is_queued = self.jobs[job].status == JobStatus::Queued;
            if is_queued && places.contains(&self.jobs[job].place) {
                self.jobs[job].status = JobStatus::Cancelled;
                superseded.push(job);
                superseded.extend(self.cancel_dependents(job));
            }
        }
        if whole {
            superseded.extend(self.supersede_rest(&[]));
        }
        for (n, place) in places.iter().enumerate() {
            let before = (chained && n > 0).then(|| self.jobs.len() - 1);
            self.jobs.push(ModelJob {
                plan: self.plans,
                place: *place,
                status: JobStatus::Queued,
                depends_on: before.into_iter().collect(),
                attempt_count: 0,
                max_attempts: attempts,
                run_after: self.now,
                held: None,
                attempts: vec![],
                cancel_requested: false,
                base: self.resources[*place].generation,
            });
        }
        superseded.sort_unstable();
        Answer::Jobs(superseded)
    }

    /// Cancels what is queued and waits for nothing that runs, but for the spared jobs.
    fn supersede_rest(&mut self, spared: &[usize]) -> Vec<usize> {
        let mut superseded = Vec::new();
        for job in 0..self.jobs.len() {
            let is_queued = self.jobs[job].status == JobStatus::Queued;
            if is_queued && !spared.contains(&job) && !self.waits_for_held(job) {
                self.jobs[job].status = JobStatus::Cancelled;
                superseded.push(job);
                superseded.extend(self.cancel_dependents(job));
            }
        }
        superseded.sort_unstable();
        superseded
    }

    fn waits_for_held(&self, job: usize) -> bool {
        let needs = &self.jobs[job].depends_on;
        needs
            .iter()
            .any(|need| self.jobs[*need].held.is_some() || self.waits_for_held(*need))
    }

    /// For each place another job that works there or is about to, will not be refused, and, for a
    /// `whole` plan, waits for no queued job that such a plan ends.
    fn equal_work(&self, places: &[usize], whole: bool) -> Option<Vec<usize>> {
        let mut found: Vec<usize> = Vec::new();
        for place in places {
            let job = (0..self.jobs.len()).find(|n| {
                let job = &self.jobs[*n];
                let is_there = job.held.is_some()
                    || (job.status == JobStatus::Queued && job.run_after <= self.now);
                let stays = job.depends_on.iter().all(|need| {
                    self.jobs[*need].status != JobStatus::Queued || found.contains(need)
                });
                is_there
                    && job.place == *place
                    && !self.is_stale(*n)
                    && !found.contains(n)
                    && (stays || !whole)
            })?;
            found.push(job);
        }
        Some(found)
    }

    fn is_stale(&self, job: usize) -> bool {
        let job = &self.jobs[job];
        let resource = &self.resources[job.place];
        resource.generation != job.base && resource.recorded_by != Some(job.plan)
    }

    fn waits_for_none(&self, job: usize) -> bool {
        self.jobs[job]
            .depends_on
            .iter()
            .all(|other| self.jobs[*other].status == JobStatus::Succeeded)
    }

    /// The jobs of a node may run, if they wait for it to answer.
    fn wake(&mut self, node: &'static str) {
        if self.away.get(node) == Some(&false) {
            self.away.insert(node, true);
            self.move_node(node, ResourceStatus::Unreachable, ResourceStatus::Active);
        }
    }

    /// What is recorded of the node, if it has the first of these statuses.
    fn move_node(&mut self, node: &str, from: ResourceStatus, to: ResourceStatus) {
        for (place, (name, _)) in PLACES.iter().enumerate() {
            let resource = &mut self.resources[place];
            if *name == format!("node/{node}") && resource.status == Some(from) {
                resource.status = Some(to);
            }
        }
    }

    /// Cancels all that waits for the job, directly or not.
    fn cancel_dependents(&mut self, job: usize) -> Vec<usize> {
        let mut cancelled = Vec::new();
        for other in 0..self.jobs.len() {
            let waits = self.jobs[other].status == JobStatus::Queued
                && self.jobs[other].depends_on.contains(&job);
            if waits {
                self.jobs[other].status = JobStatus::Cancelled;
                cancelled.push(other);
                cancelled.extend(self.cancel_dependents(other));
            }
        }
        cancelled
    }

    /// The first job that may run on the first idle node after the one of the last claim.
    fn take(&mut self, worker: usize) -> Answer {
        let now = self.clock(worker);
        while let Some(job) = self.next_job(worker, now) {
            let place = self.jobs[job].place;
            if self.is_stale(job) {
                self.jobs[job].status = JobStatus::Cancelled;
                self.cancel_dependents(job);
                continue;
            }
            self.tokens += 1;
            let token = self.tokens;
            let claimed = &mut self.jobs[job];
            claimed.status = JobStatus::Running;
            claimed.attempt_count += 1;
            claimed.held = Some((token, now + 60));
            claimed.attempts.push(None);
            self.set_status(place, ResourceStatus::Deploying);
            self.claims.push(ModelClaim { job, token, worker });
            self.last[worker] = PLACES[place].1.to_owned();
            return Answer::Claimed(job, token);
        }
        Answer::Nothing
    }

    fn next_job(&self, worker: usize, now: i64) -> Option<usize> {
        let nodes: BTreeSet<&str> = PLACES.iter().map(|(_, node)| *node).collect();
        let last = self.last[worker].as_str();
        let (after, before): (Vec<&str>, Vec<&str>) =
            nodes.into_iter().partition(|node| *node > last);
        after.into_iter().chain(before).find_map(|node| {
            let is_away = self.away.get(node) == Some(&false);
            if is_away || self.is_busy(|job| PLACES[job.place].1 == node) {
                return None;
            }
            (0..self.jobs.len()).find(|n| {
                let (n, job) = (*n, &self.jobs[*n]);
                let site = site(job.place);
                job.status == JobStatus::Queued
                    && PLACES[job.place].1 == node
                    && (job.run_after <= now || job.run_after > now + 20 * 60)
                    && self.waits_for_none(n)
                    && !(site.is_some() && self.is_busy(|other| self::site(other.place) == site))
            })
        })
    }

    fn is_busy(&self, on: impl Fn(&ModelJob) -> bool) -> bool {
        self.jobs.iter().any(|job| job.held.is_some() && on(job))
    }

    fn finish(&mut self, claim: ModelClaim, how: How) -> Answer {
        let now = self.clock(claim.worker);
        let job = &mut self.jobs[claim.job];
        let (status, end) = match how {
            How::Succeed(_) => (JobStatus::Succeeded, AttemptEnd::Succeeded),
            How::Fail => (JobStatus::Failed, AttemptEnd::Failed),
            How::Retry { .. } | How::Park => (JobStatus::Queued, AttemptEnd::Retried),
            How::Cancel => (JobStatus::Cancelled, AttemptEnd::Cancelled),
        };
        if let How::Retry { spends } = how {
            job.run_after = now + 5;
            job.attempt_count -= u32::from(!spends);
        }
        let node = PLACES[job.place].1;
        if matches!(how, How::Park) {
            job.attempt_count -= 1;
        }
        if let How::Succeed(spec) = how {
            let (place, plan) = (self.jobs[claim.job].place, self.jobs[claim.job].plan);
            self.record(place, spec, Some(plan));
        }
        if matches!(how, How::Park) {
            self.away.insert(node, false);
            self.move_node(node, ResourceStatus::Active, ResourceStatus::Unreachable);
        } else if self.away.get(node) == Some(&true) {
            self.away.remove(node);
        }
        Answer::Status(self.end(claim.job, status, end))
    }

    fn expire(&mut self, worker: usize) -> Answer {
        let now = self.clock(worker);
        let mut lost = Vec::new();
        for (n, job) in self.jobs.iter_mut().enumerate() {
            let is_over = job.held.is_some_and(|(_, until)| until < now);
            if job.status == JobStatus::Running && is_over {
                job.status = JobStatus::Unknown;
                lost.push(n);
            }
        }
        Answer::Jobs(lost)
    }

    fn interrupt(&mut self, claim: ModelClaim) -> Answer {
        let now = self.clock(claim.worker);
        let job = &mut self.jobs[claim.job];
        if job.held.is_none_or(|(token, _)| token != claim.token) {
            return Answer::Stale;
        }
        let before = job.attempts.iter();
        let before = before.filter(|end| **end == Some(AttemptEnd::Interrupted));
        let waits = [0, 16, 64, 320];
        let status = match waits.get(before.count()) {
            Some(wait) => {
                let turn = i64::try_from(claim.token % 8).unwrap_or_default();
                job.run_after = now + wait * (8 + turn) / 8;
                job.attempt_count -= 1;
                JobStatus::Queued
            }
            None => JobStatus::Failed,
        };
        Answer::Status(self.end(claim.job, status, AttemptEnd::Interrupted))
    }

    /// The end of the open attempt, and what follows from it; the job's status after that.
    fn end(&mut self, job: usize, status: JobStatus, end: AttemptEnd) -> JobStatus {
        let ended = &mut self.jobs[job];
        let status = match status {
            JobStatus::Queued if ended.cancel_requested => JobStatus::Cancelled,
            status => status,
        };
        ended.status = status;
        ended.held = None;
        *ended.attempts.last_mut().expect("an attempt") = Some(end);
        if matches!(status, JobStatus::Failed | JobStatus::Cancelled) {
            let place = self.jobs[job].place;
            self.set_status(place, ResourceStatus::Failed);
            self.cancel_dependents(job);
        }
        status
    }

    /// The status of a resource that is recorded.
    fn set_status(&mut self, place: usize, status: ResourceStatus) {
        let resource = &mut self.resources[place];
        if resource.generation > 0 {
            resource.status = Some(status);
        }
    }

    fn record(&mut self, place: usize, spec: u32, plan: Option<usize>) {
        let resource = &mut self.resources[place];
        if resource.generation == 0 || resource.spec != spec {
            resource.generation += 1;
            resource.recorded_by = plan;
            resource.spec = spec;
        }
        resource.status = Some(ResourceStatus::Active);
    }
}

/// The site of a place, if it has one.
fn site(place: usize) -> Option<&'static str> {
    let (name, _) = PLACES[place];
    let mut parts = name.split('/');
    match parts.next() {
        Some("site" | "env") => parts.next(),
        _ => None,
    }
}
