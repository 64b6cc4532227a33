//! Runs one attempt from beginning to end.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use super::agent::AgentError;
use super::attempt::{Attempt, AttemptError};
use super::broker;
use super::config;
use super::confine::{self, Confinement, Reach};
use super::connection::{Connections, Identity, Lease, OpenError};
use super::content;
use super::follow::{Followed, Run, follow};
use super::guardian::{Plain, Play};
use super::invocation::{Cancel, Host, Invocation, Playbook, Settings};
use super::known_hosts::HostKey;
use super::private;
use super::spawner::Spawner;
use super::ssh::{self, SshKeyError};
use super::venv::{Venv, VenvError};
use super::warm::Warm;
use crate::core::document::fleet::AnsibleEngine;
use crate::core::event::{Event, visible};
use crate::core::job::ErrorCode;
use crate::core::outcome::{AttemptOutcome, Failure, Observed, classify, ssh_code, tail};

/// How much of Ansible's output goes into an error message before it is cut again there.
const MESSAGE_OUTPUT: usize = 16 * 1024;

/// What a limit too large for the clock is taken for.
const LONGEST_JOB: Duration = Duration::from_secs(7 * 24 * 3600);

/// What runs Ansible. One per process; many threads may run attempts through it at once.
#[derive(Debug)]
pub struct Engine {
    // Closed before the thread that started them ends.
    connections: Connections,
    warm: Warm,
    spawner: Spawner,
    settings: Settings,
    content: PathBuf,
    venv: Venv,
}

/// The engine cannot be used on this machine as it is.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    #[error(transparent)]
    Venv(#[from] VenvError),
    #[error(
        "Ansible and ssh cannot work in `{path}`: they take {what} in a path for something else"
    )]
    Path { path: PathBuf, what: &'static str },
    #[error("cannot prepare the state directory `{path}`")]
    State { path: PathBuf, source: io::Error },
}

/// What of a path has a meaning of its own for those who are given it, or none.
fn misread(path: &Path) -> Option<&'static str> {
    let text = path.to_string_lossy();
    [
        ("\"", "`\"`"),
        ("$", "`$`"),
        (":", "`:`"),
        ("{{", "`{{`"),
        ("{%", "`{%`"),
        ("{#", "`{#`"),
        ("\n", "a line end"),
    ]
    .into_iter()
    .find_map(|(part, what)| text.contains(part).then_some(what))
}

impl Engine {
    /// The engine of a state directory, with everything unpacked and what dead processes left
    /// swept away. It starts no process.
    ///
    /// # Errors
    /// [`EngineError`] when the virtual environment is missing (`pressluft doctor --fix`
    /// makes it) or the state directory cannot be written.
    pub fn locate(settings: Settings) -> Result<Self, EngineError> {
        let state_error = |source| EngineError::State {
            path: settings.state_dir.clone(),
            source,
        };
        private::make_dir(&settings.state_dir).map_err(state_error)?;
        // Ansible and ssh run in other directories.
        let state_dir = fs::canonicalize(&settings.state_dir).map_err(state_error)?;
        if let Some(what) = misread(&state_dir) {
            let path = state_dir;
            return Err(EngineError::Path { path, what });
        }
        let venv = Venv::find(&state_dir, settings.venv.as_deref())?;
        let content = content::unpack(&state_dir).map_err(state_error)?;
        private::make_dir(&settings.log_dir).map_err(state_error)?;
        private::make_dir(&state_dir.join("ssh")).map_err(state_error)?;
        let swept = private::sweep(&state_dir.join("run")).map_err(state_error)?;
        if swept > 0 {
            tracing::info!(swept, "removed directories of dead attempts");
        }
        // In a process of somebody else `/proc/self/exe` would be another program.
        let program = if settings.supervisor == Path::new("/proc/self/exe") {
            PathBuf::from(format!("/proc/{}/exe", std::process::id()))
        } else {
            settings.supervisor.clone()
        };
        let connections = Connections::new(&state_dir.join("ssh")).map_err(state_error)?;
        Ok(Self {
            warm: Warm::new(&state_dir, &content, &venv, program).map_err(state_error)?,
            connections,
            spawner: Spawner::start(settings.supervisor.clone()).map_err(state_error)?,
            settings: Settings {
                state_dir,
                ..settings
            },
            content,
            venv,
        })
    }

    /// Where the files of attempts are written.
    #[must_use]
    pub fn run_dir(&self) -> PathBuf {
        self.settings.state_dir.join("run")
    }

    /// Begins to load Ansible, for a job that is about to come. What keeps it from that is said
    /// when the job is there.
    pub fn warm_up(&self) {
        if let Err(reason) = self.warm.start(&self.spawner) {
            tracing::debug!(%reason, "the warm engine cannot be started");
        }
    }

    /// Loads Ansible, and returns when it is ready for jobs.
    ///
    /// # Errors
    /// Why it cannot be; jobs then run without it.
    pub fn make_warm(&self) -> Result<(), String> {
        self.warm
            .make_ready(&self.spawner)
            .map_err(|reason| reason.to_string())
    }

    /// Runs one playbook and returns when nothing of it is left on this machine.
    ///
    /// `on_start` is told the supervisor's process id: all of the play is below that process,
    /// and begins when `on_start` returns, unless `cancel` stops it. Events reach `on_event` as they happen, redacted by `redact` and fit to
    /// be printed; a slow `on_event` slows the play down rather than filling memory. A
    /// failure to run anything at all is an outcome too.
    pub fn run(
        &self,
        invocation: &Invocation,
        redact: &dyn Fn(&str) -> String,
        on_start: &mut dyn FnMut(u32),
        on_event: &mut dyn FnMut(Event),
        cancel: &Cancel,
    ) -> AttemptOutcome {
        let begin = Instant::now();
        let mut outcome = AttemptOutcome {
            failure: None,
            stats: None,
            end: None,
            enrolled_host_key: None,
            log: None,
            duration: Duration::ZERO,
        };
        let mut call = Call {
            invocation,
            redact,
            on_start,
            on_event,
            cancel,
            outcome: &mut outcome,
        };
        let result = self.attempt(&mut call);
        outcome.failure = result.err();
        outcome.duration = begin.elapsed();
        outcome
    }

    fn attempt(&self, call: &mut Call<'_>) -> Result<(), Failure> {
        let now = Instant::now();
        let deadline = now
            .checked_add(call.invocation.timeout)
            .unwrap_or(now + LONGEST_JOB);
        let attempt = Attempt::write(&self.run_dir(), call.invocation).map_err(|error| {
            let (code, of_disk) = match &error {
                AttemptError::Invalid(_) => (ErrorCode::RenderFailed, false),
                AttemptError::Io(error) => (
                    ErrorCode::AnsibleUnexpectedError,
                    matches!(
                        error.kind(),
                        io::ErrorKind::StorageFull
                            | io::ErrorKind::QuotaExceeded
                            | io::ErrorKind::ReadOnlyFilesystem
                    ),
                ),
            };
            Failure {
                of_disk,
                ..Failure::new(code, &error.to_string())
            }
        })?;
        let contact = self.contact(call)?;
        let unexpected = |error: io::Error| {
            let message = format!("cannot start ansible: {error}");
            Failure::new(ErrorCode::AnsibleUnexpectedError, &message)
        };
        let reach = self.reach(call.invocation, &attempt).map_err(unexpected)?;
        let confinement = Confinement::of_play(&reach).map_err(unexpected)?;
        let (node, node_end) = UnixStream::pair().map_err(unexpected)?;
        let (python, program) = (self.venv.python(), self.content.join("engine/plain.py"));
        let play = Play {
            words: &self.words(call.invocation, &attempt),
            environment: config::environment(&self.content, attempt.path()),
            directory: attempt.path(),
            grace: self.settings.grace,
            confinement: &confinement,
            node: &node_end,
            warm: match call.invocation.engine {
                AnsibleEngine::Warm => Some(&self.warm),
                AnsibleEngine::Plain => None,
            },
            plain: Plain {
                python: &python,
                program: &program,
            },
        };
        let mut observed = Observed::default();
        let connection = &contact.lease.0;
        let run = Run {
            play,
            deadline,
            opening: contact.is_opening.then_some(connection),
        };
        let over = Cancel::default();
        let followed = thread::scope(|scope| {
            scope.spawn(|| {
                let host = &call.invocation.host;
                broker::serve(&node, &self.spawner, connection, host, &over);
            });
            let _closing = Closing {
                over: &over,
                node: &node,
            };
            follow(
                &self.spawner,
                &run,
                call.cancel,
                call.on_start,
                &mut |event| {
                    let event = event.cleaned(call.redact);
                    observed.observe(&event);
                    (call.on_event)(event);
                },
            )
        })
        .map_err(unexpected)?;

        let Followed {
            end,
            output,
            refused,
        } = followed;
        let output = visible(&(call.redact)(&output));
        call.outcome.stats = observed.stats();
        call.outcome.end = Some(end);
        call.outcome.log = self.keep_log(call.invocation, &output);
        let result = classify(&observed, end, tail(&output, MESSAGE_OUTPUT));
        match (result, refused) {
            // Ansible was stopped because the node had already refused the connection.
            (Err(_), Some(said)) => Err(refusal(
                &(call.redact)(&said),
                call.invocation,
                &contact.host_key,
            )),
            (result, _) => result,
        }
    }

    /// Sees to it that the node's host key is known and a connection is there or on its way.
    fn contact(&self, call: &mut Call<'_>) -> Result<Contact, Failure> {
        let host = &call.invocation.host;
        let io_failure = |error: io::Error| {
            let message = format!("cannot prepare the connection: {error}");
            Failure::new(ErrorCode::AnsibleUnexpectedError, &message)
        };
        let key = self.private_key(host)?;
        let host_key = match host.host_key.as_deref().and_then(HostKey::parse) {
            Some(host_key) => host_key,
            None => {
                // First contact: nobody logs in before the key is known and pinned.
                let learned = self.connections.learn(&self.spawner, host, call.cancel);
                let host_key = learned.map_err(io_failure)?.map_err(|said| {
                    if call.cancel.is_cancelled() {
                        let message = "the job was stopped while connecting";
                        return Failure::new(ErrorCode::JobInterrupted, message);
                    }
                    Failure::new(ssh_code(&said), &visible(&(call.redact)(&said)))
                })?;
                call.outcome.enrolled_host_key = Some(host_key.to_string());
                host_key
            }
        };
        let identity = Identity::new(host, &key, &host_key);
        if let Some(lease) = self.connections.find(&identity) {
            return Ok(Contact {
                host_key,
                lease,
                is_opening: false,
            });
        }
        let opened = self.connections.open(&self.spawner, host, &key, &host_key);
        let lease = opened.map_err(|error| match error {
            OpenError::Agent(AgentError::Key(_)) => {
                Failure::new(ErrorCode::SshAuthFailed, &error.to_string())
            }
            OpenError::Agent(_) | OpenError::Io(_) => {
                Failure::new(ErrorCode::AnsibleUnexpectedError, &error.to_string())
            }
        })?;
        self.connections.keep(identity, &lease);
        Ok(Contact {
            host_key,
            lease,
            is_opening: true,
        })
    }

    /// The private key that the node is reached with: its own, or the control plane's.
    fn private_key(&self, host: &Host) -> Result<Vec<u8>, Failure> {
        if let Some(key) = &host.key {
            // `ssh-add` refuses keys with foreign line ends or without the last one.
            return Ok(format!("{}\n", key.trim().replace("\r\n", "\n")).into_bytes());
        }
        let path = ssh::private_key(&self.settings.state_dir).map_err(|error| own_key(&error))?;
        fs::read(&path).map_err(|source| own_key(&SshKeyError::File { path, source }))
    }

    /// What a play can reach: Ansible, our playbooks, and its own directory.
    fn reach(&self, invocation: &Invocation, attempt: &Attempt) -> io::Result<Reach> {
        let mut reach = Reach::system();
        reach.read.extend([
            confine::python_home(self.venv.path(), &self.settings.state_dir)?,
            self.venv.path().to_owned(),
            self.content.clone(),
        ]);
        reach.read.extend(invocation.files.iter().cloned());
        if let Playbook::File(path) = &invocation.playbook {
            reach.read.push(path.clone());
        }
        reach.write.push(attempt.path().to_owned());
        Ok(reach)
    }

    fn words(&self, invocation: &Invocation, attempt: &Attempt) -> Vec<OsString> {
        let playbook = match &invocation.playbook {
            Playbook::Embedded(name) => self.content.join("playbooks").join(name),
            Playbook::File(path) => path.clone(),
        };
        let mut words = vec![self.venv.playbook().into_os_string()];
        words.extend(
            attempt
                .arguments(invocation, &playbook)
                .into_iter()
                .map(OsString::from),
        );
        words
    }

    /// A log that cannot be written is no reason to call the attempt failed.
    fn keep_log(&self, invocation: &Invocation, output: &str) -> Option<PathBuf> {
        if output.trim().is_empty() {
            return None;
        }
        let playbook = match &invocation.playbook {
            Playbook::Embedded(name) => Path::new(name).file_stem(),
            Playbook::File(path) => path.file_stem(),
        };
        let playbook = playbook.unwrap_or_default().to_string_lossy();
        let name = format!("{}-{}-{playbook}.log", invocation.job, invocation.attempt);
        let path = self.settings.log_dir.join(name);
        let written = match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            Ok(()) | Err(_) => private::write_file(&path, output.as_bytes()),
        };
        match written {
            Ok(()) => Some(path),
            Err(error) => {
                tracing::warn!(path = %path.display(), %error, "cannot write the log");
                None
            }
        }
    }
}

/// What the caller of [`Engine::run`] gave, and what it gets back.
struct Call<'a> {
    invocation: &'a Invocation,
    redact: &'a dyn Fn(&str) -> String,
    on_start: &'a mut dyn FnMut(u32),
    on_event: &'a mut dyn FnMut(Event),
    cancel: &'a Cancel,
    outcome: &'a mut AttemptOutcome,
}

/// Ends what goes on for the play when it is dropped, in a panic too: whatever still waits for the node does so for nobody.
struct Closing<'a> {
    over: &'a Cancel,
    node: &'a UnixStream,
}

impl Drop for Closing<'_> {
    fn drop(&mut self) {
        self.over.cancel();
        if let Err(error) = self.node.shutdown(Shutdown::Both) {
            tracing::debug!(%error, "the play's way to its node is closed");
        }
    }
}

struct Contact {
    host_key: HostKey,
    lease: Lease,
    is_opening: bool,
}

/// What `ssh` said when it was refused. About a wrong host key it gives advice that concerns
/// files of the attempt, so that is said in our words.
fn refusal(said: &str, invocation: &Invocation, expected: &HostKey) -> Failure {
    let code = ssh_code(said);
    let host = &invocation.host;
    let shown = said
        .split_ascii_whitespace()
        .map(|word| word.trim_end_matches('.'))
        .find(|word| word.starts_with("SHA256:"));
    match shown {
        Some(shown) if code == ErrorCode::SshHostKeyMismatch => {
            let expected = expected.fingerprint();
            let message = format!(
                "`{}` port {} showed the host key `{shown}`, and `{expected}` is pinned",
                host.address, host.port
            );
            Failure::new(code, &message)
        }
        Some(_) | None => Failure::new(code, &visible(said)),
    }
}

fn own_key(error: &SshKeyError) -> Failure {
    Failure::new(ErrorCode::SshAuthFailed, &format!("no SSH key: {error}"))
}
