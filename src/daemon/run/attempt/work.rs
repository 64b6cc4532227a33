//! What a job does between its claim and its record: facts, files, the playbook, what its success
//! leaves.

use std::time::{Duration, Instant};

use serde_json::Map;

use super::Runner;
use super::inputs::variables_of;
use super::play::same_machine;
use crate::ansible::{Host, Invocation, Playbook};
use crate::clock;
use crate::core::answer::ServedRelease;
use crate::core::causes::chain;
use crate::core::document::fleet::AnsibleEngine;
use crate::core::drift::Differences;
use crate::core::event::TaskStatus;
use crate::core::facts::NodeFacts;
use crate::core::id::ResourceId;
use crate::core::job::{ErrorCode, JobType};
use crate::core::job_kind::JobKind;
use crate::core::outcome::Failure;
use crate::core::tree::SecretValues;
use crate::daemon::error::DaemonError;
use crate::daemon::plan::payload::JobPayload;
use crate::daemon::queue::record;
use crate::daemon::run::progress::{JobLabel, Progress};
use crate::daemon::run::stop::Reins;
use crate::daemon::run::variables::Subject;
use crate::secrets::Redactor;
use crate::store::{AttemptEnd, Claim, NewTaskEvent, Release, ReleaseHealth, StateChange, Store};

/// What an attempt works with.
pub(super) struct AttemptContext<'a> {
    pub(super) runner: &'a Runner,
    pub(super) claim: &'a Claim,
    pub(super) label: &'a JobLabel,
    pub(super) tell: &'a mut dyn FnMut(Progress),
    pub(super) reins: &'a Reins,
    pub(super) store: &'a mut Store,
    pub(super) begun: Instant,
    /// Where the node is looked for, once that is known.
    pub(super) address: Option<(String, u16)>,
}

impl AttemptContext<'_> {
    /// The changes of the record that the job's success brings, or its failure.
    pub(super) fn carry_out(&mut self) -> Result<Result<Vec<StateChange>, Failure>, DaemonError> {
        let Some(kind) = self.claim.job.job_type.kind() else {
            let message = format!("this version cannot run `{}`", self.claim.job.job_type);
            return Ok(Err(Failure::new(ErrorCode::InternalError, &message)));
        };
        let payload = match JobPayload::of(self.claim, self.store) {
            Err(DaemonError::Spec(error)) => {
                let message = error.to_string();
                return Ok(Err(Failure::new(ErrorCode::RecordUnreadable, &message)));
            }
            read => read?,
        };
        let revealed = match self.revealed(&payload) {
            Ok(revealed) => revealed,
            Err(failure) => return Ok(Err(failure)),
        };
        let engine = payload.fleet.ansible.engine;
        if engine == AnsibleEngine::Warm {
            self.runner.engine.warm_up();
        }
        let host = self.host(&payload.node, revealed.key.as_ref())?;
        self.address = Some((host.address.clone(), host.port));
        if let Some(key) = &host.host_key
            && let Some(first) = self.store.node_with_host_key(&self.label.node, key)?
        {
            return Ok(Err(same_machine(&first, "SSH host key")));
        }
        let secrets = self.secret_values(&payload, revealed.named.clone())?;
        let redactor = Redactor::new(revealed.texts(&secrets));
        let mut changes = Vec::new();
        let facts = match self.facts(kind, &host, engine, &redactor)? {
            Ok((facts, is_new)) => {
                if is_new {
                    let (node, facts) = (self.label.node.clone(), Box::new(facts.clone()));
                    changes.push(StateChange::Facts { node, facts });
                }
                facts
            }
            Err(failure) => return Ok(Err(failure)),
        };
        let job_type = self.claim.job.job_type;
        // A look is that job which would make the resource what it should be, in check mode.
        let acts_as = job_type.acts_as(&self.claim.job.resource);
        // What is looked at as another job is that job in check mode.
        let in_check_mode = acts_as != job_type;
        let release = match in_check_mode {
            true => self.recorded_release(&payload)?,
            false => None,
        };
        let sources = &self.runner.sources;
        let subject = match Subject::new(payload, Some(facts)).with_sources(acts_as, sources) {
            Ok(subject) => subject.serving(release),
            Err(error) => {
                return Ok(Err(Failure::new(
                    ErrorCode::SourceUnavailable,
                    &error.to_string(),
                )));
            }
        };
        let tree = match render(&subject, acts_as, &secrets) {
            Ok(tree) => tree,
            Err(message) => return Ok(Err(Failure::new(ErrorCode::RenderFailed, &message))),
        };
        let secrets = match variables_of(&secrets, acts_as, subject.env.as_ref()) {
            Ok(secrets) => secrets,
            Err(error) => {
                let message = chain(&error);
                return Ok(Err(Failure::new(ErrorCode::RenderFailed, &message)));
            }
        };
        let invocation = Invocation {
            playbook: Playbook::Embedded(acts_as.playbook()),
            vars: subject.variables(
                &self.claim.job.id.to_string(),
                job_type,
                in_check_mode,
                self.claim.attempt,
                &self.runner.identity.control_plane().to_string(),
                self.claim.token,
            ),
            secrets,
            tree,
            files: subject.files(),
            ..self.invocation(host, engine)
        };
        if in_check_mode {
            return Ok(self.look(&invocation, &redactor)?.map(|drift| {
                changes.push(drift);
                changes
            }));
        }
        if self.was_interrupted()?
            && let Some(failure) = self.observe(&invocation, &redactor)?
        {
            return Ok(Err(failure));
        }
        // Less is left of the job's time when something was looked at first.
        let invocation = Invocation {
            timeout: self.time_left(),
            ..invocation
        };
        let mut release = None;
        let outcome = self.play(&invocation, &redactor, &mut |_, answer| {
            release = answer.release.or(release.take());
        })?;
        if let Some(failure) = outcome.failure {
            return Ok(Err(failure));
        }
        if let Some((release, environment)) = release.zip(subject.payload.environment_id()) {
            changes.push(StateChange::Release(served(release, environment)));
        }
        if kind.proves_health {
            self.note_health(&mut changes)?;
        }
        if job_type.converges() {
            let made = subject.payload.environment_id();
            let made = made.filter(|id| *id != self.claim.job.resource);
            changes.extend(made.map(StateChange::Converged));
            changes.push(StateChange::Converged(self.claim.job.resource.clone()));
        }
        let effects = subject.payload.effects;
        changes.extend(record::after_success(&self.claim.job, effects));
        Ok(Ok(changes))
    }

    /// The node's facts, and whether they were gathered just now.
    fn facts(
        &mut self,
        kind: &JobKind,
        host: &Host,
        engine: AnsibleEngine,
        redactor: &Redactor,
    ) -> Result<Result<(NodeFacts, bool), Failure>, DaemonError> {
        if !kind.reads_facts
            && let Some(facts) = self.store.node_facts(&self.label.node)?
        {
            return Ok(self.own_machine(&facts)?.map(|()| (facts, false)));
        }
        let invocation = Invocation {
            playbook: Playbook::Embedded("facts.yml".to_owned()),
            ..self.invocation(host.clone(), engine)
        };
        let mut facts = None;
        let outcome = self.play(&invocation, redactor, &mut |_, answer| {
            facts = answer.facts.or(facts.take());
        })?;
        if let Some(failure) = outcome.failure {
            return Ok(Err(failure));
        }
        match facts {
            Some(facts) => Ok(self.own_machine(&facts)?.map(|()| (facts, true))),
            None => {
                let message = "the node returned no facts";
                Ok(Err(Failure::new(
                    ErrorCode::AnsibleUnexpectedError,
                    message,
                )))
            }
        }
    }

    /// Refuses the machine of another node, before anything on it is touched.
    fn own_machine(&mut self, facts: &NodeFacts) -> Result<Result<(), Failure>, DaemonError> {
        let claim = (self.claim.job.id, self.claim.token);
        let (node, actor) = (&self.label.node, &self.runner.actor);
        let first = self
            .store
            .claim_machine(claim, node, facts, actor, clock::now())?;
        Ok(match first {
            Some(first) => Err(same_machine(&first, "machine id")),
            None => Ok(()),
        })
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
            files: Vec::new(),
            check: false,
            // What changed is part of the record.
            diff: true,
            verbosity: 0,
            timeout: self.time_left(),
            engine,
        }
    }

    /// How much of the job's time is left.
    fn time_left(&self) -> Duration {
        let timeouts = &self.runner.timeouts;
        timeouts
            .of(self.claim.job.job_type)
            .saturating_sub(self.begun.elapsed())
    }

    /// Runs the playbook in check mode: what it would change is drift. Where it cannot go on
    /// because what it would change is missing, what it found until then is.
    fn look(
        &mut self,
        invocation: &Invocation,
        redactor: &Redactor,
    ) -> Result<Result<StateChange, Failure>, DaemonError> {
        let check = Invocation {
            check: true,
            ..invocation.clone()
        };
        let mut found = Differences::default();
        let outcome = self.play(&check, redactor, &mut |result, answer| {
            if result.status == TaskStatus::Changed {
                found.add(result.task.clone(), answer.only_seen);
            }
            for finding in answer.by_hand {
                found.add(format!("{}: {finding}", result.task), true);
            }
        })?;
        Ok(match outcome.failure {
            Some(failure) if found.is_empty() || failure.code != ErrorCode::AnsibleHostFailed => {
                Err(failure)
            }
            Some(_) | None => Ok(StateChange::Looked {
                id: self.claim.job.resource.clone(),
                found,
            }),
        })
    }

    /// The release that an environment is recorded to serve, for a look at it.
    fn recorded_release(&self, payload: &JobPayload) -> Result<Option<String>, DaemonError> {
        let Some(environment) = payload.environment_id() else {
            return Ok(None);
        };
        let releases = self.store.releases(&environment)?;
        let active = releases.into_iter().find(|release| release.active);
        Ok(active.map(|release| release.name))
    }

    /// Whether the attempt before this one was cut off in the middle.
    fn was_interrupted(&self) -> Result<bool, DaemonError> {
        if self.claim.attempt == 1 || self.claim.job.job_type.only_looks() {
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
}

/// The record of a release that an environment serves now.
fn served(release: ServedRelease, environment: ResourceId) -> Release {
    Release {
        wordpress_version: release.wordpress_version,
        environment,
        name: release.name,
        code_ref: None,
        health: ReleaseHealth::Unknown,
        active: true,
        created_at: clock::now(),
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
