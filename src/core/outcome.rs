//! How an attempt ended, decided from its events, and only where there are none from the
//! exit code: 4 means both "unreachable" and "syntax error", and 0 also "no inventory".

use std::path::PathBuf;
use std::time::Duration;

use super::answer::{Answer, FailureCode};
use super::event::{Event, HostStats, TaskResult, TaskStatus};
use super::job::ErrorCode;

/// The longest error message that is recorded, in bytes.
pub const LONGEST_MESSAGE: usize = 10 * 1024;

/// Failed tasks beyond this many are counted and not kept.
const KEPT_FAILURES: usize = 8;

/// What running one attempt left behind.
#[derive(Clone, Debug, PartialEq)]
pub struct AttemptOutcome {
    /// None when the attempt succeeded.
    pub failure: Option<Failure>,
    /// Counts of the host, when the play came to its end.
    pub stats: Option<HostStats>,
    /// How the process ended; none when none was started.
    pub end: Option<ProcessEnd>,
    /// The host's public key (`ssh-ed25519 AAAA…`), learned on first contact; to be recorded
    /// also when the attempt failed later.
    pub enrolled_host_key: Option<String>,
    /// What Ansible printed, bounded and redacted.
    pub log: Option<PathBuf>,
    pub duration: Duration,
}

impl AttemptOutcome {
    /// Whether everything was done.
    #[must_use]
    pub fn succeeded(&self) -> bool {
        self.failure.is_none()
    }
}

/// Why an attempt failed, for people and for the retry policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    pub code: ErrorCode,
    /// At most [`LONGEST_MESSAGE`] bytes.
    pub message: String,
    /// What to do about it.
    pub hint: &'static str,
    /// Whether the same attempt may succeed later without anybody changing anything.
    pub retryable: bool,
    /// Whether it was the disk of the control plane, and nothing that the job did.
    pub of_disk: bool,
}

impl Failure {
    /// A failure with the hint and retry rule of its code.
    #[must_use]
    pub fn new(code: ErrorCode, message: &str) -> Self {
        Self {
            code,
            message: tail(message.trim(), LONGEST_MESSAGE).to_owned(),
            hint: hint(code),
            retryable: is_retryable(code),
            of_disk: false,
        }
    }
}

/// How the process of an attempt ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProcessEnd {
    /// 128 and more: Ansible died of the signal 128 less.
    Exited(i32),
    /// The process that watches over Ansible died of this signal.
    Signalled(i32),
    /// The attempt was stopped at its deadline.
    TimedOut,
    /// The attempt was stopped because the caller asked for it.
    Cancelled,
}

/// A task that failed, and why where a program of ours says it.
#[derive(Clone, Debug)]
struct FailedTask {
    result: TaskResult,
    code: Option<FailureCode>,
}

/// What classification needs of the events, in bounded memory.
#[derive(Clone, Debug, Default)]
pub struct Observed {
    started: bool,
    current: Option<String>,
    failures: Vec<FailedTask>,
    more_failures: u64,
    warnings: Vec<String>,
    stats: Option<HostStats>,
    hosts: usize,
}

impl Observed {
    /// Takes the next event into account.
    pub fn observe(&mut self, event: &Event) {
        match event {
            Event::PlayStart { .. } => self.started = true,
            Event::TaskStart { task, .. } => self.current = Some(task.clone()),
            Event::Task(result) => self.task(result),
            Event::Warning { msg, .. } => {
                if self.warnings.len() < KEPT_FAILURES {
                    self.warnings.push(tail(msg, 1024).to_owned());
                }
            }
            Event::Stats { hosts } => {
                self.hosts = hosts.len();
                self.stats = Some(hosts.values().fold(HostStats::default(), sum));
            }
            Event::Unreadable { .. } => {}
        }
    }

    /// The counts of the host, when the final event came.
    #[must_use]
    pub fn stats(&self) -> Option<HostStats> {
        self.stats
    }

    fn task(&mut self, result: &TaskResult) {
        match result.status {
            TaskStatus::Failed | TaskStatus::Unreachable => {}
            TaskStatus::Ok | TaskStatus::Changed | TaskStatus::Skipped | TaskStatus::Ignored => {
                return;
            }
        }
        if self.failures.len() == KEPT_FAILURES {
            // The last failure is the one that ended the play; earlier ones may be rescued.
            self.failures.remove(0);
            self.more_failures += 1;
        }
        let code = Answer::of(result).ok().and_then(|answer| answer.code);
        let mut kept = result.clone();
        kept.diff.clear();
        kept.result = None;
        self.failures.push(FailedTask { result: kept, code });
    }
}

fn sum(total: HostStats, host: &HostStats) -> HostStats {
    HostStats {
        ok: total.ok + host.ok,
        changed: total.changed + host.changed,
        failures: total.failures + host.failures,
        skipped: total.skipped + host.skipped,
        ignored: total.ignored + host.ignored,
        rescued: total.rescued + host.rescued,
        unreachable: total.unreachable + host.unreachable,
    }
}

/// Whether the attempt succeeded, and if not, why. `output` is what Ansible printed.
///
/// # Errors
/// The [`Failure`] when anything but the final statistics of an unharmed host came.
pub fn classify(observed: &Observed, end: ProcessEnd, output: &str) -> Result<(), Failure> {
    let clean = observed
        .stats
        .filter(|stats| observed.hosts == 1 && stats.failures == 0 && stats.unreachable == 0);
    match (clean, end) {
        // An attempt that was stopped after its last event has still done all its work.
        (Some(_), ProcessEnd::Exited(0) | ProcessEnd::TimedOut | ProcessEnd::Cancelled) => {
            return Ok(());
        }
        (Some(_), ProcessEnd::Exited(_) | ProcessEnd::Signalled(_)) | (None, _) => {}
    }
    let during = observed
        .current
        .as_ref()
        .map(|task| format!(" during `{task}`"));
    let during = during.as_deref().unwrap_or_default();
    match end {
        ProcessEnd::TimedOut => {
            let message = format!("the job did not end before its deadline{during}\n{output}");
            return Err(Failure::new(ErrorCode::JobTimeout, &message));
        }
        ProcessEnd::Cancelled => {
            let message = format!("the job was stopped{during}");
            return Err(Failure::new(ErrorCode::JobInterrupted, &message));
        }
        ProcessEnd::Exited(_) | ProcessEnd::Signalled(_) => {}
    }
    if clean.is_none()
        && let Some(failed) = observed.failures.last()
    {
        return Err(task_failure(failed));
    }
    Err(exit_failure(observed, end, during, output))
}

fn task_failure(FailedTask { result, code }: &FailedTask) -> Failure {
    let said = said(result);
    let code = match result.status {
        TaskStatus::Unreachable => ssh_code(&said),
        TaskStatus::Failed
        | TaskStatus::Ok
        | TaskStatus::Changed
        | TaskStatus::Skipped
        | TaskStatus::Ignored => failed_code(result, *code, &said),
    };
    Failure::new(code, &format!("`{}`: {said}", result.task))
}

/// The message of a task with what it adds on its error stream or, without one, its output.
fn said(task: &TaskResult) -> String {
    let mut said = task.msg.clone().unwrap_or_default();
    for text in [task.stderr.as_ref(), task.stdout.as_ref()]
        .into_iter()
        .flatten()
    {
        let text = text.trim();
        if !text.is_empty() && !said.contains(text) {
            said = format!("{}\n{text}", said.trim_end());
            said = said.trim_start().to_owned();
            break;
        }
    }
    if said.trim().is_empty() {
        match task.rc {
            Some(rc) => format!("ended with exit code {rc}"),
            None => "failed without a message".to_owned(),
        }
    } else {
        said
    }
}

/// The actions that run a program of ours; a step of one has an action of its own.
const PROGRAMS: [&str; 3] = [
    "pressluft.host.converge",
    "pressluft.host.facts",
    "pressluft.host.health",
];

fn failed_code(failed: &TaskResult, code: Option<FailureCode>, said: &str) -> ErrorCode {
    if matches!(
        failed.action.as_str(),
        "ansible.builtin.fail" | "ansible.builtin.assert" | "fail" | "assert"
    ) && let Some((word, _)) = said.split_once(": ")
        && let Ok(code) = word.parse()
    {
        // Only these two actions run on the control plane; a node cannot choose its code.
        return code;
    }
    let is_program = PROGRAMS.contains(&failed.action.as_str());
    let has_run = match code {
        Some(FailureCode::Refused) => return ErrorCode::NodeAnswerRefused,
        Some(FailureCode::Fenced) => return ErrorCode::NodeFenced,
        Some(FailureCode::Unhealthy) => return ErrorCode::HealthCheckFailed,
        Some(FailureCode::Untranslated) => return ErrorCode::LanguageUnavailable,
        Some(FailureCode::Failed) => true,
        Some(FailureCode::Silent) => false,
        None if is_program => false,
        None if failed.action.starts_with("pressluft.host.") => true,
        None => !said.contains("Missing sudo password"),
    };
    // Where nothing of ours has run yet, no program of a site can have said this.
    if !has_run
        && [
            "sudo: not found",
            "sudo: command not found",
            "sudo: a password is required",
            "Missing sudo password",
            "is not in the sudoers file",
        ]
        .iter()
        .any(|text| said.contains(text))
    {
        return ErrorCode::NodeSudoFailed;
    }
    let of_interpreter = |line: &str| line.contains("interpreter") && line.contains("not found");
    let python_missing = said.lines().any(of_interpreter)
        || [
            "python3: not found",
            "python3: No such file",
            "python3: command not found",
        ]
        .iter()
        .any(|text| said.contains(text));
    if failed.rc == Some(127) && python_missing {
        return ErrorCode::NodePythonMissing;
    }
    if ["Timed out after", "expected time frame", "Timeout exceeded"]
        .iter()
        .any(|text| said.contains(text))
    {
        return ErrorCode::AnsibleTimeout;
    }
    ErrorCode::AnsibleHostFailed
}

/// The code for what `ssh` says when it cannot open a session.
#[must_use]
pub fn ssh_code(said: &str) -> ErrorCode {
    let any = |texts: &[&str]| texts.iter().any(|text| said.contains(text));
    if any(&[
        "REMOTE HOST IDENTIFICATION HAS CHANGED",
        "Host key verification failed",
        "no matching host key type",
    ]) {
        ErrorCode::SshHostKeyMismatch
    } else if any(&[
        "Permission denied",
        "Too many authentication failures",
        "Load key",
    ]) {
        ErrorCode::SshAuthFailed
    } else {
        ErrorCode::AnsibleHostUnreachable
    }
}

fn exit_failure(observed: &Observed, end: ProcessEnd, during: &str, output: &str) -> Failure {
    let (code, what) = match end {
        ProcessEnd::Exited(0) if observed.stats.is_some() => (
            ErrorCode::AnsiblePlayError,
            match observed.hosts {
                0 => "no host took part in the play".to_owned(),
                hosts => format!("{hosts} hosts took part in the play of one"),
            },
        ),
        ProcessEnd::Exited(0) => (
            ErrorCode::AnsibleUnexpectedError,
            format!("ansible ended without its final statistics{during}"),
        ),
        ProcessEnd::Exited(4) if observed.stats.is_none() => (
            ErrorCode::AnsibleSyntaxError,
            "ansible cannot read the playbook".to_owned(),
        ),
        ProcessEnd::Exited(code @ (1 | 2)) if observed.started => (
            ErrorCode::AnsiblePlayError,
            format!("the play ended with exit code {code}{during}"),
        ),
        ProcessEnd::Exited(code @ (1 | 2 | 5 | 127 | 250)) => (
            ErrorCode::AnsibleUnexpectedError,
            format!("ansible ended with exit code {code}{during}"),
        ),
        ProcessEnd::Exited(99) => (
            ErrorCode::JobInterrupted,
            format!("ansible was interrupted{during}"),
        ),
        ProcessEnd::Exited(code @ 129..=192) => (
            ErrorCode::JobInterrupted,
            format!("ansible was ended by signal {}{during}", code - 128),
        ),
        ProcessEnd::Exited(code) => (
            ErrorCode::AnsibleUnknownExit,
            format!("ansible ended with exit code {code}{during}"),
        ),
        ProcessEnd::Signalled(signal) => (
            ErrorCode::JobInterrupted,
            format!("the supervisor was ended by signal {signal}{during}"),
        ),
        ProcessEnd::TimedOut | ProcessEnd::Cancelled => {
            (ErrorCode::JobInterrupted, "stopped".to_owned())
        }
    };
    let room = LONGEST_MESSAGE.saturating_sub(what.len() + 2 * 1024);
    let warnings = observed.warnings.join("\n");
    let message = [
        what.as_str(),
        tail(&warnings, 1024),
        tail(output.trim(), room),
    ]
    .into_iter()
    .filter(|part| !part.is_empty())
    .collect::<Vec<_>>()
    .join("\n");
    Failure::new(code, &message)
}

/// Whether an attempt that failed with this code may succeed later by itself.
#[must_use]
pub fn is_retryable(code: ErrorCode) -> bool {
    match code {
        ErrorCode::AnsibleHostFailed
        | ErrorCode::AnsibleHostUnreachable
        | ErrorCode::AnsibleUnexpectedError
        | ErrorCode::AnsibleUnknownExit
        | ErrorCode::AnsibleTimeout
        | ErrorCode::JobTimeout
        | ErrorCode::HealthCheckFailed
        | ErrorCode::SourceUnavailable
        | ErrorCode::LanguageUnavailable
        | ErrorCode::JobInterrupted => true,
        ErrorCode::AnsiblePlayError
        | ErrorCode::AnsibleSyntaxError
        | ErrorCode::SshHostKeyMismatch
        | ErrorCode::SshAuthFailed
        | ErrorCode::NodePythonMissing
        | ErrorCode::NodeUnsupported
        | ErrorCode::SecretUnavailable
        | ErrorCode::RecordUnreadable
        | ErrorCode::RenderFailed
        | ErrorCode::DependencyFailed
        | ErrorCode::InternalError
        | ErrorCode::PlanStale
        | ErrorCode::Superseded
        | ErrorCode::CancelledByUser
        | ErrorCode::NodeFenced
        | ErrorCode::NodeSudoFailed
        | ErrorCode::NodeAnswerRefused
        | ErrorCode::DuplicateMachine
        | ErrorCode::WorkerDied => false,
    }
}

/// What a person does about a failure with this code, in one sentence.
#[must_use]
pub fn hint(code: ErrorCode) -> &'static str {
    match code {
        ErrorCode::AnsiblePlayError => {
            "the playbook itself is at fault; the log of the job has all that it printed"
        }
        ErrorCode::AnsibleHostFailed => {
            "`pressluft jobs show ID` has the failed task and what it printed; mend the node or the document and apply again"
        }
        ErrorCode::AnsibleHostUnreachable => {
            "check that the node runs, that `host` and `ssh.port` are right and that its firewall lets this machine in"
        }
        ErrorCode::AnsibleSyntaxError => "`pressluft doctor --fix` unpacks the playbooks anew",
        ErrorCode::AnsibleUnexpectedError => {
            "run `pressluft doctor`; the log of the job has all that ansible printed"
        }
        ErrorCode::AnsibleUnknownExit => {
            "the log of the job has all that ansible printed; `pressluft doctor` checks the installation"
        }
        ErrorCode::AnsibleTimeout => {
            "look at the load of the node and at what the task waits for, then apply again"
        }
        ErrorCode::JobTimeout => {
            "`pressluft jobs show ID` has the task that hung; look at the node, then apply again"
        }
        ErrorCode::SshHostKeyMismatch => {
            "if the node was reinstalled, set its new key in `ssh.host_key` (compare it on the node's console first); if not, somebody may be in between"
        }
        ErrorCode::SshAuthFailed => {
            "put the public key (`pressluft ssh-key`, or that of `ssh.key`) into `authorized_keys` of `ssh.user` on the node"
        }
        ErrorCode::NodePythonMissing => "install Python on the node: `apt-get install -y python3`",
        ErrorCode::NodeSudoFailed => {
            "let `ssh.user` become root without a password (`NOPASSWD` in sudoers), or use root"
        }
        ErrorCode::NodeUnsupported => "use Debian 12 or Ubuntu 24.04 with systemd on the node",
        ErrorCode::HealthCheckFailed => {
            "`pressluft jobs show ID` lists each finding; mend the site, then run its health check again"
        }
        ErrorCode::SecretUnavailable => {
            "store the secret with `pressluft secret set NAME` and check the age identity with `pressluft doctor`"
        }
        ErrorCode::RecordUnreadable => {
            "plan and apply the documents with this version: that records them in its form"
        }
        ErrorCode::SourceUnavailable => {
            "check the address or path under `sources` of the fleet and its checksum"
        }
        ErrorCode::LanguageUnavailable => {
            "list a pack of the language under `sources.languages` of the fleet, or let the node reach api.wordpress.org and downloads.wordpress.org"
        }
        ErrorCode::RenderFailed => {
            "check the fleet repo's own `templates/`; `pressluft plan --show-files` shows the place"
        }
        ErrorCode::JobInterrupted => "apply again; every playbook picks up where it was left",
        ErrorCode::InternalError => {
            "look at the message: the control plane itself could not go on; `pressluft doctor` checks it"
        }
        ErrorCode::DependencyFailed => "mend the failed job that this one needs, then apply again",
        ErrorCode::PlanStale => "plan again: the record moved after this job was planned",
        ErrorCode::Superseded => "nothing to do: a newer plan has taken the place of this job",
        ErrorCode::CancelledByUser => "apply again when the change is wanted after all",
        ErrorCode::WorkerDied => {
            "look at the log of the service for what ended it (out of memory, an abort); `pressluft jobs retry ID` tries the job again"
        }
        ErrorCode::NodeFenced => {
            "the node is another claim's: the message names it, and what to do when it is gone for good"
        }
        ErrorCode::DuplicateMachine => {
            "one machine is one node: correct `host`, or keep the document of the other node alone; machines that were made from one image get a machine id (`systemd-machine-id-setup`) and host keys (`ssh-keygen -A`) of their own"
        }
        ErrorCode::NodeAnswerRefused => {
            "what answers on the node is not what Pressluft sent there; look at its `/usr/bin/python3` and at who else is root on it, and do not trust it until you know"
        }
    }
}

/// The last `limit` bytes of `text`, whole characters only.
#[must_use]
pub fn tail(text: &str, limit: usize) -> &str {
    let start = text.len().saturating_sub(limit);
    let start = (start..=text.len())
        .find(|at| text.is_char_boundary(*at))
        .unwrap_or(text.len());
    &text[start..]
}

#[cfg(test)]
#[path = "outcome_tests.rs"]
mod tests;
