//! One attempt at one job: from the claim to its one terminal record.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::time::Instant;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Map, Value};

use super::disk;
use super::error::DaemonError;
use super::payload::{JobPayload, QueuedPayload};
use super::progress::{JobLabel, Progress, Wait};
use super::record;
use super::stop::{Reason, Reins};
use super::timeouts::Timeouts;
use super::variables::Subject;
use super::worker_id::WorkerId;
use crate::ansible::{Engine, Host, Invocation, Playbook};
use crate::clock;
use crate::core::document::fleet::AnsibleEngine;
use crate::core::event::{Event, TaskResult, TaskStatus};
use crate::core::facts::NodeFacts;
use crate::core::id::ResourceId;
use crate::core::job::{ErrorCode, JobStatus, JobType};
use crate::core::outcome::{AttemptOutcome, Failure};
use crate::core::recorded::ResourceStatus;
use crate::core::retry::{self, Next};
use crate::core::spec::Spec;
use crate::core::tree::SecretValues;
use crate::secrets::{self, Identity, Origin, Redactor};
use crate::store::{
    AttemptEnd, Claim, Finish, HostKeySource, NewTaskEvent, Outcome, Process, Release,
    ReleaseHealth, StateChange, Store, StoreError,
};

/// What every attempt of this process uses.
#[expect(missing_debug_implementations, reason = "it holds the identity")]
pub struct Runner {
    pub engine: Engine,
    pub identity: Identity,
    pub database: std::path::PathBuf,
    /// Who asked for the run, for the audit record.
    pub actor: String,
    pub timeouts: Timeouts,
}

/// How an attempt ended, as it is recorded.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Attempted {
    pub(super) status: JobStatus,
    pub(super) failure: Option<Failure>,
    /// What the job waits for when it is tried again.
    pub(super) wait: Option<Wait>,
}

/// Runs the claimed job and records how it ended.
///
/// # Errors
/// When the database fails, or another worker holds the job by now. That the job failed is no
/// error.
pub(super) fn run(
    runner: &Runner,
    claim: &Claim,
    label: &JobLabel,
    tell: &mut dyn FnMut(Progress),
    reins: &Reins,
) -> Result<Attempted, DaemonError> {
    tracing::debug!(job = %claim.job.id, "claimed");
    let mut store = Store::open(&runner.database)?;
    let mut work = Work {
        runner,
        claim,
        label,
        tell,
        reins,
        store: &mut store,
        begun: Instant::now(),
        address: None,
    };
    let mut in_the_way = false;
    let carried_out = match work.carry_out() {
        Ok(carried_out) => carried_out,
        Err(DaemonError::Store(error @ StoreError::Stale { .. })) => {
            return give_back(runner, claim, &mut store, error);
        }
        // Whatever else goes wrong here is the end of this job and of no other.
        Err(error) => {
            in_the_way = disk::is_in_the_way(&error);
            Err(Failure::new(ErrorCode::InternalError, &chain(&error)))
        }
    };
    let address = work.address.take();
    let now = clock::now();
    let (outcome, changes, failure) = match carried_out {
        Ok(changes) => (Outcome::Succeeded, changes, None),
        Err(failure) => {
            let outcome = match reins.reason() {
                Some(Reason::Cancelled(why)) => Outcome::Cancelled {
                    message: format!("{why}: {}", failure.message),
                },
                Some(Reason::Requeued(why)) => Outcome::Retry {
                    code: ErrorCode::JobInterrupted,
                    message: format!("{why}: {}", failure.message),
                    run_after: now,
                    spend_attempt: false,
                },
                // Refused, and given back below, if somebody else has the job by now.
                Some(Reason::LostLease) | None => {
                    match disk::excuse(&store, &failure, in_the_way) {
                        Some(outcome) => outcome,
                        None => after_failure(claim, &failure, address, &store, now)?,
                    }
                }
            };
            (outcome, Vec::new(), Some(failure))
        }
    };
    let wait = match &outcome {
        Outcome::Retry { run_after, .. } => Some(Wait::Until(*run_after)),
        Outcome::Park { .. } => Some(Wait::Node),
        Outcome::Succeeded | Outcome::Failed { .. } | Outcome::Cancelled { .. } => None,
    };
    let finish = Finish {
        job: claim.job.id,
        token: claim.token,
        outcome,
        changes: &changes,
    };
    let ended = disk::record_end(&mut store, &finish, &runner.actor);
    tracing::debug!(job = %claim.job.id, "recorded");
    match ended {
        Ok(status) => Ok(Attempted {
            status,
            failure,
            wait: wait.filter(|_| !status.is_terminal()),
        }),
        Err(error @ StoreError::Stale { .. }) => give_back(runner, claim, &mut store, error),
        Err(error) => Err(error.into()),
    }
}

/// Records that a bug ended the attempt: the end of this job and of no other. What it had started
/// was stopped when its thread unwound.
///
/// # Errors
/// When the database fails, or another worker holds the job by now.
pub(super) fn give_up(runner: &Runner, claim: &Claim) -> Result<Attempted, DaemonError> {
    let failure = Failure::new(
        ErrorCode::InternalError,
        "a bug ended the thread of the job",
    );
    let outcome = Outcome::Failed {
        code: failure.code,
        message: format!("{}\nhint: {}", failure.message, failure.hint),
    };
    let finish = Finish {
        job: claim.job.id,
        token: claim.token,
        outcome,
        changes: &[],
    };
    let status = Store::open(&runner.database)?.finish(&finish, &runner.actor, clock::now())?;
    Ok(Attempted {
        status,
        failure: Some(failure),
        wait: None,
    })
}

/// What becomes of the job after this failure.
fn after_failure(
    claim: &Claim,
    failure: &Failure,
    address: Option<(String, u16)>,
    store: &Store,
    now: Timestamp,
) -> Result<Outcome, DaemonError> {
    let code = failure.code;
    let message = format!("{}\nhint: {}", failure.message, failure.hint);
    let (spent, max) = (claim.job.attempt_count, claim.job.max_attempts);
    Ok(
        match (retry::next(code, spent, max, rand::random()), address) {
            (Next::Retry(wait), _) => Outcome::Retry {
                code,
                message,
                run_after: now.saturating_add(wait).unwrap_or(Timestamp::MAX),
                spend_attempt: true,
            },
            (Next::Park, Some((host, port))) => {
                let mut known = store.unreachable_nodes()?.into_iter();
                let known = known.find(|node| node.node == claim.job.node_id);
                let (away, attempts) = known.map_or((SignedDuration::ZERO, 1), |node| {
                    (now.duration_since(node.since), node.attempts + 1)
                });
                let wait = retry::probe_wait(away, attempts, rand::random());
                Outcome::Park {
                    code,
                    message,
                    host,
                    port,
                    next_probe_at: now.saturating_add(wait).unwrap_or(Timestamp::MAX),
                }
            }
            (Next::GiveUp | Next::Park, _) => Outcome::Failed { code, message },
        },
    )
}

/// The lease was lost, and what this attempt had started has ended: the job is free for others,
/// unless one of them has it already.
fn give_back(
    runner: &Runner,
    claim: &Claim,
    store: &mut Store,
    stale: StoreError,
) -> Result<Attempted, DaemonError> {
    let message = "its worker lost the lease and has stopped it";
    let (job, actor, now) = (claim.job.id, &runner.actor, clock::now());
    match store.mark_interrupted(job, claim.token, message, now, actor, now) {
        Ok(status) => Ok(Attempted {
            status,
            failure: Some(Failure::new(ErrorCode::JobInterrupted, message)),
            wait: (!status.is_terminal()).then_some(Wait::Until(now)),
        }),
        Err(StoreError::Stale { .. }) => Err(stale.into()),
        Err(error) => Err(error.into()),
    }
}

struct Work<'a> {
    runner: &'a Runner,
    claim: &'a Claim,
    label: &'a JobLabel,
    tell: &'a mut dyn FnMut(Progress),
    reins: &'a Reins,
    store: &'a mut Store,
    begun: Instant,
    /// Where the node is looked for, once that is known.
    address: Option<(String, u16)>,
}

impl Work<'_> {
    /// The changes of the record that the job's success brings, or its failure.
    fn carry_out(&mut self) -> Result<Result<Vec<StateChange>, Failure>, DaemonError> {
        let payload = self.payload()?;
        let engine = engine_of(&payload.fleet);
        if engine == AnsibleEngine::Warm {
            self.runner.engine.warm_up();
        }
        let named = match self.named_secrets(&payload) {
            Ok(named) => named,
            Err(failure) => return Ok(Err(failure)),
        };
        let host = match self.host(&payload, &named)? {
            Ok(host) => host,
            Err(failure) => return Ok(Err(failure)),
        };
        self.address = Some((host.address.clone(), host.port));
        let secrets = self.secret_values(&payload, named)?;
        let redactor = Redactor::new(texts(&secrets));
        let mut changes = Vec::new();
        let facts = match self.facts(&host, engine, &redactor)? {
            Ok((facts, is_new)) => {
                if is_new {
                    let (node, facts) = (self.label.node.clone(), Box::new(facts.clone()));
                    changes.push(StateChange::Facts { node, facts });
                }
                facts
            }
            Err(failure) => return Ok(Err(failure)),
        };
        let subject = match Subject::new(payload, Some(facts)).with_sources(self.claim.job.job_type)
        {
            Ok(subject) => subject,
            Err(error) => {
                return Ok(Err(Failure::new(
                    ErrorCode::SourceUnavailable,
                    &error.to_string(),
                )));
            }
        };
        let tree = match render(&subject, self.claim.job.job_type, &secrets) {
            Ok(tree) => tree,
            Err(message) => return Ok(Err(Failure::new(ErrorCode::RenderFailed, &message))),
        };
        let invocation = Invocation {
            playbook: Playbook::Embedded(self.claim.job.job_type.playbook()),
            vars: subject.variables(
                &self.claim.job.id.to_string(),
                self.claim.job.job_type.as_str(),
                self.claim.attempt,
                &self.runner.identity.recipient().to_string(),
                self.claim.token,
            ),
            secrets: variables_of(&secrets)?,
            tree,
            ..self.invocation(host, engine)
        };
        if self.was_interrupted()?
            && let Some(failure) = self.observe(&invocation, &redactor)?
        {
            return Ok(Err(failure));
        }
        let mut release = None;
        let outcome = self.play(&invocation, &redactor, &mut |result| {
            let served = result
                .result
                .as_ref()
                .and_then(|value| value.get("release")?.as_str());
            if let Some(name) = served.filter(|name| !name.is_empty()) {
                release = Some(name.to_owned());
            }
        })?;
        if let Some(failure) = outcome.failure {
            return Ok(Err(failure));
        }
        if let Some((name, environment)) = release.zip(subject.payload.environment_id()) {
            changes.push(StateChange::Release(served(name, environment)));
        }
        if self.claim.job.job_type == JobType::HealthCheck {
            self.note_health(&mut changes)?;
        }
        let (node, revision) = (&self.claim.job.node_id, &self.claim.job.revision);
        let effects = &subject.payload.effects;
        changes.extend(record::effects(self.store, effects, Some(node), revision)?);
        // A job that ran again for what is recorded already leaves it active, too.
        let id = self.claim.job.resource.clone();
        changes.push(StateChange::Status {
            id,
            status: ResourceStatus::Active,
        });
        Ok(Ok(changes))
    }

    fn payload(&self) -> Result<JobPayload, DaemonError> {
        let queued: QueuedPayload = serde_json::from_str(&self.claim.payload)?;
        let part = |digest: &str| match self.store.part(digest)? {
            Some(json) => Ok(json),
            None => Err(DaemonError::MissingPart(digest.to_owned())),
        };
        JobPayload::unpack(&queued.parts, queued.effects, queued.repo_secrets, &part)
    }

    /// The values that the documents refer to, by name.
    fn named_secrets(&self, payload: &JobPayload) -> Result<BTreeMap<String, String>, Failure> {
        let mut named = BTreeMap::new();
        for name in &payload.secrets {
            let origin = match payload.repo_secrets.get(name) {
                Some(digest) => Origin::Repo {
                    digest: digest.clone(),
                },
                None => Origin::Store,
            };
            let value = secrets::reveal(self.store, &self.runner.identity, name, &origin)
                .map_err(|error| Failure::new(ErrorCode::SecretUnavailable, &chain(&error)))?;
            named.insert(name.clone(), value.expose().clone());
        }
        Ok(named)
    }

    /// What was generated for the environment, and what its documents refer to.
    fn secret_values(
        &mut self,
        payload: &JobPayload,
        named: BTreeMap<String, String>,
    ) -> Result<SecretValues, DaemonError> {
        let Some(id) = payload.environment_id() else {
            return Ok(SecretValues {
                named,
                ..SecretValues::default()
            });
        };
        let identity = &self.runner.identity;
        let made = secrets::environment_secrets(self.store, identity, &id, clock::now())?;
        Ok(SecretValues {
            db_password: made.db_password.expose().clone(),
            redis_password: made.redis_password.expose().clone(),
            admin_password: made.admin_password.expose().clone(),
            salts: made
                .salts
                .iter()
                .map(|(name, salt)| ((*name).to_owned(), salt.expose().clone()))
                .collect(),
            named,
        })
    }

    /// How the node is reached. Its pinned key is the one of the document, else the recorded.
    fn host(
        &self,
        payload: &JobPayload,
        named: &BTreeMap<String, String>,
    ) -> Result<Result<Host, Failure>, DaemonError> {
        let node = &payload.node;
        let Some(address) = node.str("host") else {
            let message = format!("`node/{}` has no `host`", self.label.node);
            return Ok(Err(Failure::new(ErrorCode::RenderFailed, &message)));
        };
        let recorded = self.store.host_keys(&self.label.node)?;
        let key_of = |reference: &str| named.get(reference.strip_prefix("secret:")?).cloned();
        Ok(Ok(Host {
            name: self.label.node.clone(),
            address: address.to_owned(),
            port: node
                .get("ssh.port")
                .and_then(Value::as_u64)
                .and_then(|port| u16::try_from(port).ok())
                .unwrap_or(22),
            user: node.str("ssh.user").unwrap_or("root").to_owned(),
            key: node.str("ssh.key").and_then(key_of),
            host_key: node
                .str("ssh.host_key")
                .map(str::to_owned)
                .or_else(|| recorded.into_iter().next().map(|key| key.key)),
        }))
    }

    /// The node's facts, and whether they were gathered just now. Provisioning always gathers:
    /// a resized machine has other limits.
    fn facts(
        &mut self,
        host: &Host,
        engine: AnsibleEngine,
        redactor: &Redactor,
    ) -> Result<Result<(NodeFacts, bool), Failure>, DaemonError> {
        if self.claim.job.job_type != JobType::NodeProvision
            && let Some(facts) = self.store.node_facts(&self.label.node)?
        {
            return Ok(Ok((facts, false)));
        }
        let invocation = Invocation {
            playbook: Playbook::Embedded("facts.yml".to_owned()),
            ..self.invocation(host.clone(), engine)
        };
        let mut facts = None;
        let outcome = self.play(&invocation, redactor, &mut |result| {
            facts = result
                .result
                .as_ref()
                .and_then(|value| value.get("facts"))
                .cloned();
        })?;
        if let Some(failure) = outcome.failure {
            return Ok(Err(failure));
        }
        match facts.map(serde_json::from_value::<NodeFacts>) {
            Some(Ok(facts)) => Ok(Ok((facts, true))),
            Some(Err(error)) => {
                let message = format!("the node's facts cannot be read: {error}");
                Ok(Err(Failure::new(
                    ErrorCode::AnsibleUnexpectedError,
                    &message,
                )))
            }
            None => {
                let message = "the node returned no facts";
                Ok(Err(Failure::new(
                    ErrorCode::AnsibleUnexpectedError,
                    message,
                )))
            }
        }
    }

    /// The release that is served has answered its check.
    fn note_health(&self, changes: &mut Vec<StateChange>) -> Result<(), DaemonError> {
        let releases = self.store.releases(&self.claim.job.resource)?;
        changes.extend(
            releases
                .into_iter()
                .find(|release| release.active)
                .map(|release| {
                    StateChange::Release(Release {
                        health: ReleaseHealth::Healthy,
                        ..release
                    })
                }),
        );
        Ok(())
    }

    fn invocation(&self, host: Host, engine: AnsibleEngine) -> Invocation {
        Invocation {
            job: self.claim.job.id.to_string(),
            attempt: self.claim.attempt,
            playbook: Playbook::Embedded(String::new()),
            host,
            vars: Map::new(),
            secrets: Map::new(),
            tree: None,
            check: false,
            // What changed is part of the record.
            diff: true,
            verbosity: 0,
            timeout: self
                .runner
                .timeouts
                .of(self.claim.job.job_type)
                .saturating_sub(self.begun.elapsed()),
            engine,
        }
    }

    /// Whether the attempt before this one was cut off in the middle.
    fn was_interrupted(&self) -> Result<bool, DaemonError> {
        if self.claim.attempt == 1 || self.claim.job.job_type == JobType::HealthCheck {
            return Ok(false);
        }
        let attempts = self.store.attempts(self.claim.job.id)?;
        let before = attempts.iter().rev().nth(1);
        Ok(before.is_some_and(|attempt| attempt.outcome == Some(AttemptEnd::Interrupted)))
    }

    /// Looks in check mode at what an interrupted attempt left, before anything is done, and
    /// writes that down. A failure when the node cannot be reached.
    ///
    /// The playbook runs in any case: it compares for itself, and in check mode it cannot know
    /// which handlers are still to run.
    fn observe(
        &mut self,
        invocation: &Invocation,
        redactor: &Redactor,
    ) -> Result<Option<Failure>, DaemonError> {
        let check = Invocation {
            check: true,
            diff: false,
            ..invocation.clone()
        };
        let mut open = 0_u32;
        let outcome = self.run_playbook(&check, redactor, &mut |result| {
            open += u32::from(result.status == TaskStatus::Changed);
        })?;
        let (status, message) = match &outcome.failure {
            None if open == 0 => (TaskStatus::Ok, "nothing is left to do".to_owned()),
            None => (
                TaskStatus::Ok,
                format!("{open} tasks have something left to do"),
            ),
            Some(failure) if failure.code == ErrorCode::AnsibleHostUnreachable => {
                return Ok(outcome.failure);
            }
            Some(failure) => (
                TaskStatus::Ignored,
                format!("it cannot be told without doing it: {}", failure.message),
            ),
        };
        let event = NewTaskEvent {
            at: clock::now(),
            task: "Observe what the interrupted attempt left".to_owned(),
            status,
            seconds: Some(outcome.duration.as_secs_f64()),
            diff: None,
            message: Some(message),
        };
        let (id, token) = (self.claim.job.id, self.claim.token);
        self.store
            .append_events(id, token, &[event], clock::now())?;
        Ok(None)
    }

    /// Runs one playbook; its tasks go into the database as they end.
    fn play(
        &mut self,
        invocation: &Invocation,
        redactor: &Redactor,
        on_result: &mut dyn FnMut(&TaskResult),
    ) -> Result<AttemptOutcome, DaemonError> {
        let (id, token) = (self.claim.job.id, self.claim.token);
        self.follow(invocation, redactor, &mut |store, result| {
            on_result(result);
            Ok(store.append_events(id, token, &[task_event(result)], clock::now())?)
        })
    }

    /// Runs one playbook; its tasks are nobody's business but the caller's.
    fn run_playbook(
        &mut self,
        invocation: &Invocation,
        redactor: &Redactor,
        on_result: &mut dyn FnMut(&TaskResult),
    ) -> Result<AttemptOutcome, DaemonError> {
        self.follow(invocation, redactor, &mut |_, result| {
            on_result(result);
            Ok(())
        })
    }

    /// Runs one playbook, whose process is recorded before it begins.
    fn follow(
        &mut self,
        invocation: &Invocation,
        redactor: &Redactor,
        on_result: &mut dyn FnMut(&mut Store, &TaskResult) -> Result<(), DaemonError>,
    ) -> Result<AttemptOutcome, DaemonError> {
        let failure: RefCell<Option<DaemonError>> = RefCell::new(None);
        let (id, token) = (self.claim.job.id, self.claim.token);
        let outcome = {
            let store = RefCell::new(&mut *self.store);
            let (tell, label) = (&mut *self.tell, self.label);
            let cancel = &self.reins.cancel;
            // Whoever cannot record must not go on changing a node.
            let give_up = |error: DaemonError| {
                failure.borrow_mut().get_or_insert(error);
                cancel.cancel();
            };
            let mut on_start = |pid: u32| {
                let recorded = process_of(pid).and_then(|process| match process {
                    Some(process) => {
                        let mut store = store.borrow_mut();
                        Ok(store.set_attempt_process(id, token, &process, clock::now())?)
                    }
                    // It was killed before it could begin, which its end tells.
                    None => Ok(()),
                });
                if let Err(error) = recorded {
                    give_up(error);
                }
            };
            let redact = |text: &str| redactor.redact(text).into_owned();
            let mut on_event = |event: Event| match event {
                Event::TaskStart { task, .. } => {
                    tell(Progress::TaskStarted {
                        job: label.clone(),
                        task,
                    });
                }
                Event::Task(result) => {
                    if failure.borrow().is_none()
                        && let Err(error) = on_result(&mut store.borrow_mut(), &result)
                    {
                        if disk::is_in_the_way(&error) {
                            // The job needs no record of its tasks to end well.
                            tracing::warn!(job = %id, %error, "a task cannot be recorded");
                        } else {
                            give_up(error);
                        }
                    }
                    if !invocation.check {
                        tell(Progress::Task {
                            job: label.clone(),
                            result,
                        });
                    }
                }
                Event::PlayStart { .. }
                | Event::Warning { .. }
                | Event::Stats { .. }
                | Event::Unreadable { .. } => {}
            };
            self.runner
                .engine
                .run(invocation, &redact, &mut on_start, &mut on_event, cancel)
        };
        if let Some(key) = &outcome.enrolled_host_key {
            let (keys, source) = ([key.clone()], HostKeySource::Enrolled);
            let (node, actor) = (&self.label.node, &self.runner.actor);
            self.store
                .set_host_keys(node, &keys, source, actor, clock::now())?;
        }
        match failure.into_inner() {
            Some(error) => Err(error),
            None => Ok(outcome),
        }
    }
}

/// How the fleet wants Ansible to be run.
fn engine_of(fleet: &Spec) -> AnsibleEngine {
    match fleet.str("ansible.engine") {
        Some(word) if word == AnsibleEngine::Plain.as_str() => AnsibleEngine::Plain,
        Some(_) | None => AnsibleEngine::Warm,
    }
}

/// Every value that must not be seen.
fn texts(secrets: &SecretValues) -> impl Iterator<Item = &str> {
    [
        &secrets.db_password,
        &secrets.redis_password,
        &secrets.admin_password,
    ]
    .into_iter()
    .chain(secrets.salts.values())
    .chain(secrets.named.values())
    .map(String::as_str)
    .filter(|text| !text.is_empty())
}

/// An error with its causes, each after a colon.
pub(super) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(&format!(": {cause}"));
        source = cause.source();
    }
    text
}

/// The record of a release that an environment serves now. Its name, `wordpress-7.1.1-…`, has the version
/// of WordPress that it was made from.
fn served(name: String, environment: ResourceId) -> Release {
    let version = name.split('-').nth(1).filter(|word| word.contains('.'));
    Release {
        wordpress_version: version.map(str::to_owned),
        environment,
        name,
        code_ref: None,
        health: ReleaseHealth::Unknown,
        active: true,
        created_at: clock::now(),
    }
}

/// The process with this number as it can be told apart from later ones, or none when it has
/// ended.
fn process_of(pid: u32) -> Result<Option<Process>, DaemonError> {
    let id = i32::try_from(pid)
        .map_err(std::io::Error::other)
        .and_then(WorkerId::find)
        .map_err(DaemonError::Process)?;
    Ok(id.map(|id| Process {
        pid: id.pid,
        start: id.start,
        boot_id: id.boot,
    }))
}

/// The variable `pressluft_secrets`.
fn variables_of(secrets: &SecretValues) -> Result<Map<String, Value>, DaemonError> {
    match serde_json::to_value(secrets)? {
        Value::Object(map) => Ok(map),
        _ => Ok(Map::new()),
    }
}

/// The file tree of a job as JSON, for the job types that have one.
fn render(
    subject: &Subject,
    job_type: JobType,
    secrets: &SecretValues,
) -> Result<Option<Vec<u8>>, String> {
    match subject
        .tree(job_type, Some(secrets))
        .map_err(|error| chain(&error))?
    {
        Some(tree) => serde_json::to_vec(&tree)
            .map(Some)
            .map_err(|error| error.to_string()),
        None => Ok(None),
    }
}

fn task_event(result: &TaskResult) -> NewTaskEvent {
    NewTaskEvent {
        at: clock::now(),
        task: result.task.clone(),
        status: result.status,
        seconds: Some(result.seconds),
        diff: diff_text(result),
        message: result.msg.clone(),
    }
}

/// All differences of a task as unified diffs, or none.
fn diff_text(result: &TaskResult) -> Option<String> {
    let texts: Vec<String> = result
        .diff
        .iter()
        .filter_map(crate::core::unified::of_task)
        .collect();
    (!texts.is_empty()).then(|| texts.join("\n"))
}
