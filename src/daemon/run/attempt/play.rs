//! One playbook of a job: its process is recorded before it begins, its tasks as they end.

use std::cell::RefCell;

use super::work::AttemptContext;
use crate::ansible::Invocation;
use crate::clock;
use crate::core::answer::{Answer, WrongAnswer};
use crate::core::drift::BY_HAND;
use crate::core::event::{Event, TaskResult};
use crate::core::job::ErrorCode;
use crate::core::outcome::{AttemptOutcome, Failure};
use crate::daemon::error::DaemonError;
use crate::daemon::run::disk;
use crate::daemon::run::progress::Progress;
use crate::daemon::run::worker_id::WorkerId;
use crate::secrets::Redactor;
use crate::store::{NewTaskEvent, Process, Store};

impl AttemptContext<'_> {
    /// Runs one playbook; its tasks go into the database as they end.
    pub(super) fn play(
        &mut self,
        invocation: &Invocation,
        redactor: &Redactor,
        on_result: &mut dyn FnMut(&TaskResult, Answer),
    ) -> Result<AttemptOutcome, DaemonError> {
        let (id, token) = (self.claim.job.id, self.claim.token);
        self.follow(invocation, redactor, &mut |store, result, answer| {
            let event = task_event(result, &answer);
            on_result(result, answer);
            Ok(store.append_events(id, token, &[event], clock::now())?)
        })
    }

    /// Runs one playbook; its tasks are nobody's business but the caller's.
    pub(super) fn run_playbook(
        &mut self,
        invocation: &Invocation,
        redactor: &Redactor,
        on_result: &mut dyn FnMut(&TaskResult),
    ) -> Result<AttemptOutcome, DaemonError> {
        self.follow(invocation, redactor, &mut |_, result, _| {
            on_result(result);
            Ok(())
        })
    }

    /// Runs one playbook, whose process is recorded before it begins. An answer of the node that
    /// none of our programs gives is the failure of the whole, however the play ended.
    fn follow(
        &mut self,
        invocation: &Invocation,
        redactor: &Redactor,
        on_result: &mut dyn FnMut(&mut Store, &TaskResult, Answer) -> Result<(), DaemonError>,
    ) -> Result<AttemptOutcome, DaemonError> {
        let failure: RefCell<Option<DaemonError>> = RefCell::new(None);
        let mut wrong: Option<(String, WrongAnswer)> = None;
        let (id, token) = (self.claim.job.id, self.claim.token);
        let mut outcome = {
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
                    let answer = Answer::of(&result).unwrap_or_else(|error| {
                        wrong.get_or_insert((result.task.clone(), error));
                        Answer::default()
                    });
                    if failure.borrow().is_none()
                        && let Err(error) = on_result(&mut store.borrow_mut(), &result, answer)
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
        if let Some(error) = failure.into_inner() {
            return Err(error);
        }
        if let Some((task, error)) = wrong {
            let message = format!("`{task}`: {error}");
            outcome.failure = Some(Failure::new(ErrorCode::NodeAnswerRefused, &message));
        }
        if let Some(key) = &outcome.enrolled_host_key {
            let (node, actor) = (&self.label.node, &self.runner.actor);
            let first = self
                .store
                .enroll_host_key((id, token), node, key, actor, clock::now())?;
            if let Some(first) = first {
                outcome.failure = Some(same_machine(&first, "SSH host key"));
            }
        }
        Ok(outcome)
    }
}

/// That the node is the machine of another one, as they have the same of `what`.
pub(super) fn same_machine(other: &str, what: &str) -> Failure {
    let message = format!("this is the machine of `node/{other}`: both have the same {what}");
    Failure::new(ErrorCode::DuplicateMachine, &message)
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

fn task_event(result: &TaskResult, answer: &Answer) -> NewTaskEvent {
    let found = answer.by_hand.iter();
    let found = found.map(|finding| format!("{BY_HAND}: {finding}"));
    let said: Vec<String> = result.msg.iter().cloned().chain(found).collect();
    NewTaskEvent {
        at: clock::now(),
        task: result.task.clone(),
        status: result.status,
        seconds: Some(result.seconds),
        diff: diff_text(result),
        message: (!said.is_empty()).then(|| said.join("\n")),
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
