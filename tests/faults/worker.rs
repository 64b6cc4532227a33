//! A worker whose jobs are real processes under the real supervisor. Only what a job does is
//! replaced: it locks its lanes, says that it began, waits and says that it ended.
//!
//! Its clock runs faster than the real one, so that a lease is over in a moment.

use std::collections::BTreeMap;
use std::fs::OpenOptions;
use std::io::{self, Write};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::thread;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use pressluft::core::change::SpecPatch;
use pressluft::core::event::TaskStatus;
use pressluft::core::job::{ErrorCode, JobStatus};

use pressluft::core::recorded::{ResourceStatus, Source};
use pressluft::daemon::{self, JobPayload, Timeouts, WorkerId};
use pressluft::store::{
    Claim, Finish, JobFilter, NewTaskEvent, Outcome, Process, RecordPatch, Scope, StateChange,
    Store, StoreError,
};
use pressluft::{clock, process};

use crate::Result;
use crate::checker::processes::MARK;
use crate::random::Random;
use crate::roles::{Arguments, acknowledge, arm};
use crate::script::REVISION;

/// What a supervisor gives a stopped command in the daemon.
const GRACE: SignedDuration = SignedDuration::from_secs(20);
const HEARTBEAT: SignedDuration = SignedDuration::from_secs(10);

/// A clock that runs faster, and can be set wrong.
#[derive(Clone, Copy, Debug)]
pub(crate) struct FastClock {
    pub(crate) epoch: Timestamp,
    pub(crate) speed: i32,
    pub(crate) offset: SignedDuration,
}

impl FastClock {
    pub(crate) fn now(&self) -> Timestamp {
        let passed = clock::now().duration_since(self.epoch);
        self.epoch + passed * self.speed + self.offset
    }

    /// How long `duration` of this clock really is.
    pub(crate) fn real(&self, duration: SignedDuration) -> Duration {
        Duration::try_from(duration / self.speed).unwrap_or_default()
    }
}

struct Worker {
    store: Store,
    id: String,
    run: String,
    directory: PathBuf,
    clock: FastClock,
    random: Random,
    /// The longest that a job takes, in milliseconds.
    longest: u64,
    is_stubborn: bool,
    /// Whether its clock is set anew now and then.
    jumps: bool,
    /// Whether all its jobs succeed and leave what they are for in the record.
    applies: bool,
}

/// `--database PATH --directory PATH --run NAME --seed N --epoch MICROSECONDS --speed N
/// [--longest MS] [--stubborn] [--jumps] [--applies] [--drain] [--crash LABEL --hit N]`
pub(crate) fn run(arguments: &Arguments) -> Result<u8> {
    arm(arguments)?;
    let epoch = Timestamp::from_microsecond(arguments.number("epoch", 0)?)?;
    let mut worker = Worker {
        store: Store::open(&arguments.path("database")?)?,
        id: WorkerId::this()?.to_string(),
        run: arguments.text("run")?.to_owned(),
        directory: arguments.path("directory")?,
        clock: FastClock {
            epoch,
            speed: arguments.number("speed", 1)?,
            offset: SignedDuration::ZERO,
        },
        random: Random::new(arguments.number("seed", 0)?),
        longest: arguments.number("longest", 10)?,
        is_stubborn: arguments.has("stubborn"),
        jumps: arguments.has("jumps"),
        applies: arguments.has("applies"),
    };
    let drain = arguments.has("drain");
    loop {
        worker.settle()?;
        let now = worker.now();
        match worker.store.claim(&worker.id, Scope::All, now)? {
            Some(claim) => worker.work(&claim)?,
            None if drain && worker.is_done()? => return Ok(0),
            None => thread::sleep(Duration::from_millis(3)),
        }
    }
}

impl Worker {
    fn now(&mut self) -> Timestamp {
        if self.jumps && self.random.one_in(8) {
            let hours = [0, 0, 1, -1, 24, -24][self.random.index(6)];
            self.clock.offset = SignedDuration::from_hours(hours);
        }
        self.clock.now()
    }

    /// As the daemon does: what dead workers held is settled, and what a living one holds that
    /// missed its heartbeats, when what it started has ended.
    fn settle(&mut self) -> Result<()> {
        let now = self.now();
        daemon::recover(&mut self.store, &self.id, &Timeouts::default(), now)?;
        Ok(())
    }

    fn is_done(&self) -> Result<bool> {
        for status in [JobStatus::Queued, JobStatus::Running, JobStatus::Unknown] {
            let filter = JobFilter {
                status: Some(status),
                limit: 1,
                ..JobFilter::default()
            };
            if !self.store.jobs(&filter)?.jobs.is_empty() {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn work(&mut self, claim: &Claim) -> Result<()> {
        match self.carry_out(claim) {
            Ok(()) => Ok(()),
            // The lease is lost, and what was started is gone by now. Nobody else can prove that
            // as long as this process lives.
            Err(Failed::Store(StoreError::Stale { token, .. })) => {
                acknowledge(&self.directory.join("stale"), &token.to_string())?;
                let (now, message) = (self.now(), "its worker lost the lease and stopped it");
                match self
                    .store
                    .mark_interrupted(claim.job.id, token, message, now, &self.id, now)
                {
                    // Somebody else has the job by now.
                    Ok(_) | Err(StoreError::Stale { .. }) => Ok(()),
                    Err(error) => Err(error.into()),
                }
            }
            Err(Failed::Store(error)) => Err(error.into()),
            Err(Failed::Other(error)) => Err(error),
        }
    }

    fn carry_out(&mut self, claim: &Claim) -> Result<(), Failed> {
        let (id, token) = (claim.job.id, claim.token);
        let mut child = self.spawn(claim).map_err(other)?;
        // A child that was killed before it could begin needs no proof of its death.
        if let Some(known) = i32::try_from(child.0.id())
            .map_err(io::Error::other)
            .and_then(WorkerId::find)
            .map_err(other)?
        {
            let process = Process {
                pid: known.pid,
                start: known.start,
                boot_id: known.boot,
            };
            let now = self.now();
            self.store.set_attempt_process(id, token, &process, now)?;
        }
        child.go();
        let mut beat = self.clock.now();
        let code = loop {
            if let Some(status) = child.0.try_wait().map_err(other)? {
                break status.code();
            }
            if self.clock.now().duration_since(beat) >= HEARTBEAT {
                beat = self.clock.now();
                let now = self.now();
                self.store.heartbeat(id, token, now)?;
            }
            thread::sleep(Duration::from_millis(1));
        };
        let now = self.now();
        let events: Vec<NewTaskEvent> = (0..self.random.below(4))
            .map(|n| NewTaskEvent {
                at: now,
                task: format!("task {n}"),
                status: TaskStatus::Changed,
                seconds: None,
                diff: None,
                message: None,
            })
            .collect();
        self.store.append_events(id, token, &events, now)?;
        let (outcome, changes) = match self.applies && code == Some(0) {
            true => (Outcome::Succeeded, self.applied(claim)?),
            false => self.outcome(claim, code, now),
        };
        let finish = Finish {
            job: id,
            token,
            outcome,
            changes: &changes,
        };
        let now = self.now();
        let status = self.store.finish(&finish, &self.id, now)?;
        let line = format!("{id} {token} {status}");
        acknowledge(&self.directory.join("finished"), &line).map_err(Failed::Other)
    }

    /// What the job of a real plan leaves in the record.
    fn applied(&self, claim: &Claim) -> Result<Vec<StateChange>, Failed> {
        let payload = JobPayload::of(claim, &self.store);
        let effects = payload
            .map_err(|error| Failed::Other(error.into()))?
            .effects;
        Ok(daemon::after_success(&claim.job, effects))
    }

    fn outcome(
        &mut self,
        claim: &Claim,
        code: Option<i32>,
        now: Timestamp,
    ) -> (Outcome, Vec<StateChange>) {
        let failure = ErrorCode::AnsiblePlayError;
        if code != Some(0) {
            let message = format!("exit code {code:?}");
            return (
                Outcome::Failed {
                    code: failure,
                    message,
                },
                vec![],
            );
        }
        let message = "by chance".to_owned();
        match self.random.below(20) {
            0 => (
                Outcome::Failed {
                    code: failure,
                    message,
                },
                vec![],
            ),
            1 => (Outcome::Cancelled { message }, vec![]),
            2 | 3 => {
                let outcome = Outcome::Retry {
                    code: failure,
                    message,
                    run_after: now + SignedDuration::from_secs(2),
                    spend_attempt: claim.attempt.is_multiple_of(2),
                };
                (outcome, vec![])
            }
            _ => {
                let spec = serde_json::from_value(serde_json::json!({ "token": claim.token }));
                let record = RecordPatch {
                    id: claim.job.resource.clone(),
                    patch: SpecPatch::of(&spec.expect("a spec is an object")),
                    status: Some(ResourceStatus::Active),
                    node: Some(claim.job.node_id.clone()),
                    revision: REVISION.to_owned(),
                    source: Some(Source {
                        file: "a.yaml".to_owned(),
                        line: 1,
                    }),
                    fingerprints: BTreeMap::new(),
                };
                (
                    Outcome::Succeeded,
                    vec![StateChange::Patch(Box::new(record))],
                )
            }
        }
    }

    /// The job's process, below `pressluft supervise`. Its input closes when this process ends.
    fn spawn(&mut self, claim: &Claim) -> io::Result<Stopped> {
        let this = std::env::current_exe()?;
        let grace = self.clock.real(GRACE).as_millis().to_string();
        let mut command = process::command(&this);
        command
            .arg0("pressluft")
            .args(["supervise", "--parent", &std::process::id().to_string()])
            .args(["--grace-ms", &grace, "--wait", "--"])
            .arg(&this)
            .args(["body", "--token", &claim.token.to_string(), "--directory"])
            .arg(&self.directory)
            .args(["--node", &claim.job.node_id])
            .args(["--ms", &self.random.below(self.longest + 1).to_string()]);
        if let Some(site) = &claim.job.site_id {
            command.args(["--site", site]);
        }
        if self.is_stubborn {
            command.arg("--stubborn");
        }
        command
            .env(MARK, format!("{}:{}", self.run, claim.token))
            .stdin(Stdio::piped())
            // It complains when this process dies before it has begun.
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()
            .map(Stopped)
    }
}

impl Stopped {
    /// Lets the job begin, unless its supervisor has ended already.
    fn go(&mut self) {
        if let Some(input) = &mut self.0.stdin {
            drop(input.write_all(b"\n"));
        }
    }
}

/// A supervised process that is stopped and waited for when this is dropped.
struct Stopped(Child);

impl Drop for Stopped {
    fn drop(&mut self) {
        drop(self.0.stdin.take());
        // It has ended, or ends now.
        drop(self.0.wait());
    }
}

enum Failed {
    Store(StoreError),
    Other(Box<dyn std::error::Error>),
}

impl From<StoreError> for Failed {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

fn other(error: io::Error) -> Failed {
    Failed::Other(error.into())
}

/// What a job does: `--directory PATH --node NAME [--site NAME] --token N --ms N [--stubborn]`
pub(crate) fn body(arguments: &Arguments) -> Result<u8> {
    let directory = arguments.path("directory")?;
    let token = arguments.text("token")?;
    if arguments.has("stubborn") {
        // SIGTERM sets a flag that nobody looks at.
        signal_hook::flag::register(
            signal_hook::consts::SIGTERM,
            Arc::new(AtomicBool::new(false)),
        )?;
    }
    let lanes = [
        ("node", arguments.find("node")),
        ("site", arguments.find("site")),
    ];
    let mut locks = Vec::new();
    for (kind, name) in lanes {
        let Some(name) = name else { continue };
        let lock = open(&directory.join(format!("{kind}-{name}.lock")))?;
        // The kernel lets go of it when the process is gone, however it went.
        if lock.try_lock().is_err() {
            let line = format!("{kind} {name} has two processes, one of token {token}");
            acknowledge(&directory.join("overlaps"), &line)?;
        }
        locks.push(lock);
    }
    acknowledge(&directory.join("begun"), token)?;
    thread::sleep(Duration::from_millis(arguments.number("ms", 0)?));
    acknowledge(&directory.join("ended"), token)?;
    drop(locks);
    Ok(0)
}

fn open(path: &Path) -> io::Result<std::fs::File> {
    OpenOptions::new().create(true).append(true).open(path)
}
