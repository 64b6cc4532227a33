//! A database, workers on it, and what has to be true when they are gone.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use jiff::SignedDuration;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use pressluft::clock;
use pressluft::core::job::{JobOrigin, JobStatus, JobType};
use pressluft::core::recorded::{JobId, ResourceStatus};
use pressluft::store::{
    JobFilter, Joins, NewJob, NewPlan, Scope, Store, StoreError, new_job_id, new_plan_id,
};

use crate::Result;
use crate::checker::{self, processes};
use crate::context::{Context, lines, was_killed};
use crate::random::Random;
use crate::script::{REVISION, resource, revision};
use crate::worker::FastClock;

/// How a world runs.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    /// How much faster than the real one its clock runs.
    pub(crate) speed: i32,
    /// The longest that a job takes, in milliseconds.
    pub(crate) longest: u64,
    pub(crate) nodes: u64,
    /// Flags of the workers.
    pub(crate) flags: &'static [&'static str],
    /// Whether half of the jobs are for one site.
    pub(crate) has_hot_site: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            speed: 20,
            longest: 10,
            nodes: 60,
            flags: &[],
            has_hot_site: false,
        }
    }
}

pub(crate) struct World {
    pub(crate) directory: PathBuf,
    pub(crate) database: PathBuf,
    pub(crate) clock: FastClock,
    pub(crate) store: Store,
    pub(crate) random: Random,
    settings: Settings,
    run: String,
    workers: Vec<Running>,
    seed: u64,
}

struct Running {
    child: Child,
    errors: PathBuf,
}

impl World {
    pub(crate) fn new(directory: &Path, seed: u64, settings: Settings) -> Result<Self> {
        let database = directory.join("state.db");
        let mut store = Store::open(&database)?;
        let clock = FastClock {
            epoch: clock::now(),
            speed: settings.speed,
            offset: SignedDuration::ZERO,
        };
        store.save_revision(&revision(), clock.now())?;
        Ok(Self {
            directory: directory.to_owned(),
            database,
            clock,
            store,
            random: Random::new(seed),
            settings,
            run: format!("{}-{seed}", std::process::id()),
            workers: Vec::new(),
            seed,
        })
    }

    /// Queues a plan of `count` jobs: chains of up to three on one node, as a new site has.
    pub(crate) fn enqueue(&mut self, count: u64) -> Result<()> {
        let now = self.clock.now();
        let mut jobs: Vec<NewJob> = Vec::new();
        while (jobs.len() as u64) < count {
            let node = self.random.below(self.settings.nodes);
            let site = if self.settings.has_hot_site && self.random.one_in(2) {
                0
            } else {
                self.random.below(3 * self.settings.nodes)
            };
            let mut before: Option<JobId> = None;
            for n in 0..=self.random.below(3) {
                let name = match n {
                    0 if self.random.one_in(6) => format!("node/node-{node}"),
                    0 => format!("site/site-{site}"),
                    _ => format!("env/site-{site}/env-{}-{n}", jobs.len()),
                };
                let id = new_job_id(now);
                jobs.push(NewJob {
                    id,
                    job_type: JobType::EnvConfigure,
                    resource: resource(&name),
                    node: format!("node-{node}"),
                    origin: JobOrigin::Plan,
                    max_attempts: 1 + u32::try_from(self.random.below(8))?,
                    run_after: now,
                    status_on_start: Some(ResourceStatus::Deploying),
                    status_on_failure: Some(ResourceStatus::Failed),
                    reason: "a test".to_owned(),
                    changes: "[]".to_owned(),
                    has_effects: false,
                    payload: "{}".to_owned(),
                    depends_on: before.into_iter().collect(),
                });
                before = Some(id);
            }
        }
        let plan = NewPlan {
            id: new_plan_id(now),
            revision: REVISION.to_owned(),
            digest: "digest".to_owned(),
            partial: true,
            joins: Joins::Nothing,
            expected: vec![],
        };
        self.store.enqueue(&plan, &jobs, "ops", now)?;
        let queued: Vec<String> = jobs.iter().map(|job| job.id.to_string()).collect();
        crate::roles::acknowledge(&self.directory.join("queued"), &queued.join("\n"))
    }

    /// Cancels a queued job, if there is one.
    pub(crate) fn cancel_one(&mut self) -> Result<()> {
        let filter = JobFilter {
            status: Some(JobStatus::Queued),
            limit: 20,
            ..JobFilter::default()
        };
        let queued = self.store.jobs(&filter)?.jobs;
        if queued.is_empty() {
            return Ok(());
        }
        let job = &queued[self.random.index(queued.len())];
        match self
            .store
            .cancel_queued(job.id, "a test", "ops", self.clock.now())
        {
            Ok(_) | Err(StoreError::IllegalMove(_)) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Starts a worker; `more` are more of its arguments.
    pub(crate) fn start(&mut self, context: &Context, more: &[String]) -> Result<usize> {
        let running = self.spawn(context, more)?;
        self.workers.push(running);
        Ok(self.workers.len() - 1)
    }

    fn spawn(&mut self, context: &Context, more: &[String]) -> Result<Running> {
        let number = self.random.next();
        let errors = self.directory.join(format!("errors-{number}"));
        let child = context
            .role("worker")?
            .arg("--database")
            .arg(&self.database)
            .arg("--directory")
            .arg(&self.directory)
            // First, so that they count where they say something else than what follows.
            .args(more)
            .args(["--run", &self.run])
            .args(["--seed", &number.to_string()])
            .args(["--epoch", &self.clock.epoch.as_microsecond().to_string()])
            .args(["--speed", &self.settings.speed.to_string()])
            .args(["--longest", &self.settings.longest.to_string()])
            .args(self.settings.flags)
            .stderr(Stdio::from(std::fs::File::create(&errors)?))
            .spawn()?;
        Ok(Running { child, errors })
    }

    pub(crate) fn workers(&self) -> usize {
        self.workers.len()
    }

    pub(crate) fn signal(&self, worker: usize, signal: Signal) -> Result<()> {
        let pid = i32::try_from(self.workers[worker].child.id())?;
        Ok(kill(Pid::from_raw(pid), signal)?)
    }

    /// Kills the worker and starts another in its place at once. What was wrong with it before.
    pub(crate) fn replace(
        &mut self,
        context: &Context,
        worker: usize,
        more: &[String],
    ) -> Result<Vec<String>> {
        let next = self.spawn(context, more)?;
        let mut old = std::mem::replace(&mut self.workers[worker], next);
        finish(&mut old, true)
    }

    /// Waits for a worker that ends by itself; whether it was killed (by a crash point).
    pub(crate) fn has_ended(&mut self, worker: usize) -> Result<bool> {
        Ok(self.workers[worker].child.try_wait()?.is_some())
    }

    /// Children without a lease at this moment.
    pub(crate) fn orphans(&self) -> Result<Vec<String>> {
        processes::without_lease(&self.database, &self.run)
    }

    /// Kills all workers. Nothing of their jobs may go on for longer than `limit`; how long it
    /// did.
    pub(crate) fn kill_all(&mut self, limit: Duration) -> Result<(Duration, Vec<String>)> {
        let mut broken = Vec::new();
        for mut worker in std::mem::take(&mut self.workers) {
            broken.extend(finish(&mut worker, true)?);
        }
        let killed = Instant::now();
        while !processes::children(&self.run)?.is_empty() {
            if killed.elapsed() > limit {
                broken.push(format!(
                    "I5: processes of dead workers still live after {limit:?}"
                ));
                break;
            }
            thread::sleep(Duration::from_millis(2));
        }
        Ok((killed.elapsed(), broken))
    }

    /// Lets two new workers finish all that is queued, and checks everything.
    pub(crate) fn drain(&mut self, context: &Context) -> Result<Vec<String>> {
        let mut broken = Vec::new();
        for _ in 0..2 {
            let arguments = ["--drain", "--longest", "5"].map(str::to_owned);
            self.start(context, &arguments)?;
        }
        let begun = Instant::now();
        let limit = Duration::from_secs(120);
        while !self.workers.is_empty() {
            let mut left = Vec::new();
            for mut worker in std::mem::take(&mut self.workers) {
                match worker.child.try_wait()? {
                    Some(_) => broken.extend(finish(&mut worker, false)?),
                    None if begun.elapsed() > limit => {
                        broken.push(format!("I1: the queue is not empty after {limit:?}"));
                        finish(&mut worker, true)?;
                    }
                    None => left.push(worker),
                }
            }
            self.workers = left;
            thread::sleep(Duration::from_millis(5));
        }
        broken.extend(self.check()?);
        Ok(broken)
    }

    /// All invariants, and what was acknowledged to somebody outside.
    pub(crate) fn check(&self) -> Result<Vec<String>> {
        let mut broken = checker::database(&self.database);
        broken.extend(self.orphans()?);
        broken.extend(
            lines(&self.directory.join("overlaps"))?
                .into_iter()
                .map(|line| format!("I2: {line}")),
        );
        broken.extend(self.check_jobs()?);
        broken.extend(self.check_tokens()?);
        broken.truncate(20);
        Ok(broken
            .into_iter()
            .map(|line| format!("seed {}: {line}", self.seed))
            .collect())
    }

    /// Every job that was ever queued is there and has ended.
    fn check_jobs(&self) -> Result<Vec<String>> {
        let mut broken = Vec::new();
        for id in lines(&self.directory.join("queued"))? {
            match self.store.job(id.parse()?)? {
                None => broken.push(format!("I1: job {id} is gone")),
                Some(job) if !job.status.is_terminal() => {
                    broken.push(format!("I1: job {id} is still {}", job.status));
                }
                Some(_) => {}
            }
        }
        Ok(broken)
    }

    /// What processes said that they did, against what is recorded.
    fn check_tokens(&self) -> Result<Vec<String>> {
        let mut broken = Vec::new();
        let recorded: BTreeMap<u64, (String, Option<String>)> = {
            let connection = rusqlite::Connection::open(&self.database)?;
            connection
                .prepare("SELECT token, job, outcome FROM attempts")?
                .query_map([], |row| {
                    Ok((
                        row.get::<_, i64>(0)?.unsigned_abs(),
                        (row.get(1)?, row.get(2)?),
                    ))
                })?
                .collect::<rusqlite::Result<_>>()?
        };
        let tokens = |name: &str| -> Result<Vec<u64>> {
            lines(&self.directory.join(name))?
                .iter()
                .map(|line| Ok(line.parse()?))
                .collect()
        };
        let begun = tokens("begun")?;
        let ended: BTreeSet<u64> = tokens("ended")?.into_iter().collect();
        let distinct: BTreeSet<u64> = begun.iter().copied().collect();
        if distinct.len() != begun.len() {
            broken.push("I3: an attempt was carried out twice".to_owned());
        }
        for token in distinct.difference(&recorded.keys().copied().collect()) {
            broken.push(format!(
                "I3: token {token} was carried out and is not recorded"
            ));
        }
        for (token, (job, outcome)) in &recorded {
            let outcome = outcome.as_deref();
            if outcome == Some("succeeded") && !ended.contains(token) {
                broken.push(format!(
                    "I4: job {job} succeeded with token {token}, which never ended"
                ));
            }
        }
        let mut stale: BTreeSet<u64> = tokens("stale")?.into_iter().collect();
        for line in lines(&self.directory.join("finished"))? {
            let words: Vec<&str> = line.split(' ').collect();
            let token: u64 = words[1].parse()?;
            let outcome = recorded
                .get(&token)
                .and_then(|(_, outcome)| outcome.as_deref());
            let is_kept = match words[2] {
                "queued" => outcome == Some("retried"),
                status => outcome == Some(status),
            };
            if !is_kept {
                broken.push(format!(
                    "I1: `{line}` was acknowledged, recorded is {outcome:?}"
                ));
            }
            if stale.remove(&token) {
                broken.push(format!("I6: token {token} was refused and wrote"));
            }
        }
        for token in stale {
            let outcome = recorded
                .get(&token)
                .and_then(|(_, outcome)| outcome.as_deref());
            if outcome.is_some_and(|outcome| outcome != "interrupted") {
                broken.push(format!(
                    "I6: token {token} was refused, recorded is {outcome:?}"
                ));
            }
        }
        Ok(broken)
    }

    /// How many writes were refused because the token was stale.
    pub(crate) fn refused(&self) -> Result<usize> {
        Ok(lines(&self.directory.join("stale"))?.len())
    }

    /// Children without a lease that are not gone a moment later either.
    pub(crate) fn lasting_orphans(&self) -> Result<Vec<String>> {
        let first = self.orphans()?;
        if first.is_empty() {
            return Ok(first);
        }
        thread::sleep(Duration::from_millis(300));
        let later = self.orphans()?;
        Ok(first
            .into_iter()
            .filter(|orphan| later.contains(orphan))
            .collect())
    }

    /// The supervisors that run at this moment.
    pub(crate) fn supervisors(&self) -> Result<Vec<Pid>> {
        let mut found = Vec::new();
        for child in processes::children(&self.run)? {
            // It may have ended since.
            let line = std::fs::read(format!("/proc/{}/cmdline", child.pid)).unwrap_or_default();
            if line.starts_with(b"pressluft\0supervise\0--parent\0") {
                found.push(Pid::from_raw(child.pid));
            }
        }
        Ok(found)
    }

    /// Holds one job, as a worker that is `worker` would.
    pub(crate) fn claim_as(&mut self, worker: &str) -> Result<bool> {
        let now = self.clock.now();
        Ok(self.store.claim(worker, Scope::All, now)?.is_some())
    }
}

impl Drop for World {
    fn drop(&mut self) {
        for worker in &mut self.workers {
            // Already dead unless a case failed.
            drop(worker.child.kill());
            drop(worker.child.wait());
        }
    }
}

/// Kills the worker if `kill`, and says what else it died of.
fn finish(worker: &mut Running, kill: bool) -> Result<Vec<String>> {
    let before = worker.child.try_wait()?;
    let status = match before {
        Some(status) => status,
        None if kill => {
            worker.child.kill()?;
            worker.child.wait()?
        }
        None => worker.child.wait()?,
    };
    let errors = std::fs::read_to_string(&worker.errors).unwrap_or_default();
    std::fs::remove_file(&worker.errors)?;
    let is_fine = was_killed(status) || (status.success() && !kill);
    if is_fine && errors.is_empty() {
        Ok(Vec::new())
    } else {
        Ok(vec![format!(
            "a worker ended by itself: {status}: {errors}"
        )])
    }
}
