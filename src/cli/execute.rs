//! What every command needs that runs jobs: the engine, the identity, signals, limits.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::context::{Context, actor};
use super::error::CliError;
use super::exit::Exit;
use super::history_settings::{AFTERWARDS, history};
use super::output;
use super::progress_view::ProgressView;
use super::settings::span;
use crate::ansible::{Engine, EngineError, Settings};
use crate::clock;
use crate::core::causes::chain;
use crate::core::document::scalar;
use crate::core::recorded::JobId;
use crate::daemon::role::{self, Post};
use crate::daemon::{self, Jobs, Limits, Pace, Parallel, Request, Runner, Stop, Summary, Urgency};
use crate::secrets::{Identity, SecretError};
use crate::store::{JobFilter, Store, StoreError};

/// How many nodes are worked on at once where neither the fleet nor the settings say.
const PARALLEL: usize = 8;
/// How long running jobs may take to finish where nothing else is said.
const DRAIN: Duration = Duration::from_secs(10 * 60);

/// How many nodes are worked on at once, as it is written.
fn nodes_at_once(text: &str) -> Result<u16, String> {
    let number = text
        .parse()
        .ok()
        .filter(|number| (1..=256).contains(number));
    number.ok_or_else(|| "write a whole number from 1 to 256".to_owned())
}

/// How much at once and for how long.
#[derive(clap::Args, Clone, Copy, Debug)]
pub(crate) struct LimitArgs {
    /// How many nodes to work on at once
    #[arg(long, value_name = "N", value_parser = nodes_at_once)]
    parallel: Option<u16>,
    /// How long running jobs may take to finish after a SIGTERM [default: 10m]
    #[arg(long, value_name = "DURATION")]
    drain_timeout: Option<scalar::Duration>,
}

impl LimitArgs {
    /// Whether the arguments say how much is done at once.
    pub(crate) fn says_parallel(&self) -> bool {
        self.parallel.is_some()
    }

    /// The limits, with what the fleet says where the arguments say nothing.
    pub(crate) fn limits(&self, context: &Context, of_fleet: Option<usize>) -> Limits {
        Limits {
            parallel: Parallel::new(
                self.parallel
                    .map(usize::from)
                    .or(of_fleet)
                    .or(context
                        .settings
                        .parallel
                        .map(|most| usize::from(most.get())))
                    .unwrap_or(PARALLEL),
            ),
            wait: None,
            drain: self
                .drain_timeout
                .or(context.settings.drain_timeout)
                .map_or(DRAIN, span),
        }
    }
}

/// The engine and all that attempts need.
pub(crate) fn runner(context: &Context, store: &Store) -> Result<Arc<Runner>, CliError> {
    let mut settings = Settings::new(&context.state_dir);
    settings.log_dir.clone_from(&context.log_dir);
    settings.venv.clone_from(&context.venv);
    let engine = Engine::locate(settings).map_err(|error| {
        CliError::new(chain(&error)).hint(match error {
            EngineError::Path { .. } => "name another state directory with `--state-dir`",
            EngineError::Venv(_) | EngineError::State { .. } => {
                "`pressluft doctor` says what is missing, and `pressluft doctor --fix` makes it"
            }
        })
    })?;
    Ok(Arc::new(Runner {
        engine,
        identity: identity(context, store)?,
        database: context.db_path.clone(),
        actor: actor(),
        timeouts: context.timeouts.clone(),
        reserved: context.reserved(),
        sources: context.sources.clone(),
    }))
}

/// The identity that opens the secrets. A new one is made only where nothing is encrypted yet:
/// in the place of a lost one it would open nothing.
pub(crate) fn identity(context: &Context, store: &Store) -> Result<Identity, CliError> {
    let directory = &context.secrets_dir;
    let identity = match Identity::load(directory) {
        Err(SecretError::NoIdentity(_)) if !store.has_ciphertexts()? => {
            Identity::load_or_generate(directory)
        }
        other => other,
    };
    identity.map_err(|error| {
        CliError::new(chain(&error)).hint(
            "put the identity file back from a backup: the recorded secrets can be opened with \
             no other",
        )
    })
}

/// Queues what is asked for, runs it or follows whoever does, and gives up what would wait for a
/// node; how it ended.
pub(crate) fn run_requests(
    store: &mut Store,
    context: &Context,
    requests: &[Request],
    limits: &LimitArgs,
    is_json: bool,
) -> Result<Summary, CliError> {
    // Before anything is queued: a machine that cannot run jobs must not collect them.
    let runner = runner(context, store)?;
    let plans = daemon::queue_requests(store, requests, &actor(), clock::now())?;
    let own = plans.own;
    let stop = stop_on_signals([Urgency::Cancel, Urgency::Cancel])?;
    let mut view = ProgressView::new(is_json, context.interactive);
    let mut watch = |progress| {
        // The jobs go on when nobody can be told about them any more.
        if let Err(error) = view.show(&progress) {
            tracing::debug!(error = %error.message, "nobody reads what is told");
        }
    };
    let summary = daemon::run(
        &runner,
        store,
        &Jobs::Plans(plans),
        &limits.limits(context, None),
        &may_claim(context),
        &stop,
        &mut watch,
    )?;
    if let Some(plan) = own {
        cancel_plan(store, plan, "nobody waits for it any more")?;
    }
    Ok(summary)
}

/// Whether this process may run jobs: no worker holds the role for that.
pub(crate) fn may_claim(context: &Context) -> impl Fn() -> bool + use<> {
    let state_dir = context.state_dir.clone();
    move || match role::is_held(&state_dir, Post::Worker, clock::now()) {
        Ok(is_held) => !is_held,
        // The database keeps two processes from running one job.
        Err(error) => {
            tracing::warn!(%error, "cannot tell whether a worker runs");
            true
        }
    }
}

/// Stops on signals: the first SIGTERM drains, the second one puts back what runs. `interrupt` is
/// what Ctrl-C and a closed terminal ask for, the first and the second time.
pub(crate) fn stop_on_signals(interrupt: [Urgency; 2]) -> Result<Stop, CliError> {
    use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
    let mut signals = signal_hook::iterator::Signals::new([SIGINT, SIGTERM, SIGHUP])?;
    let stop = Stop::default();
    let asked = stop.clone();
    std::thread::Builder::new()
        .name("signals".to_owned())
        .spawn(move || {
            for (seen, signal) in signals.forever().enumerate() {
                let steps = match signal {
                    SIGTERM => [Urgency::Drain, Urgency::Requeue],
                    _ => interrupt,
                };
                asked.ask(steps[seen.min(1)]);
            }
        })?;
    Ok(stop)
}

/// Settles what dead processes left, and waits for what they started to end.
pub(crate) fn recover(store: &mut Store, context: &Context, is_json: bool) -> Result<(), CliError> {
    let deadline = Instant::now() + Duration::from_secs(45);
    let mut told = false;
    loop {
        let recovery = daemon::recover(store, &actor(), &context.timeouts, clock::now())?;
        for job in &recovery.interrupted {
            output::note(&format!("job {job} was interrupted when its process died"))?;
        }
        if !is_json && !std::mem::replace(&mut told, true) {
            for (job, worker) in &recovery.held {
                output::note(&format!(
                    "job {job} is running in another process ({worker})"
                ))?;
            }
        }
        if recovery.ending.is_empty() {
            return Ok(());
        }
        if Instant::now() > deadline {
            return Err(CliError::new(format!(
                "job {} lost its process, and what that started has not ended",
                recovery.ending[0]
            ))
            .exit(Exit::LockTimeout)
            .hint("wait for it to end, then try again; `pressluft jobs show` names the job"));
        }
        std::thread::sleep(Duration::from_millis(250));
    }
}

/// Clears up a little of the past, for those who have nothing but `apply`. What it was run for is
/// done, so a failure is only told to the log.
pub(crate) fn clear_up(store: &mut Store, context: &Context) {
    let end = Instant::now() + AFTERWARDS;
    let goes_on = || Instant::now() < end;
    let (pace, now) = ((Pace::Brisk, false), clock::now());
    match daemon::clear_up(store, &history(context), pace, &actor(), &goes_on, now) {
        Ok(cleared) => tracing::debug!(?cleared, "cleared up"),
        Err(error) => tracing::warn!(%error, "cannot clear up the past"),
    }
}

/// Cancels a job: at once when it is queued, else its worker is asked to stop it. Whether it was
/// only asked.
pub(crate) fn cancel_job(store: &mut Store, id: JobId, message: &str) -> Result<bool, StoreError> {
    let (actor, now) = (actor(), clock::now());
    match store.cancel_queued(id, message, &actor, now) {
        Ok(_) => Ok(false),
        // It runs, or has begun to since the caller looked.
        Err(StoreError::IllegalMove(_)) => store
            .request_cancel(id, message, &actor, now)
            .map(|()| true),
        Err(error) => Err(error),
    }
}

/// Cancels all of a plan that has not ended.
pub(crate) fn cancel_plan(
    store: &mut Store,
    plan: crate::core::recorded::PlanId,
    message: &str,
) -> Result<(), CliError> {
    use crate::core::job::JobStatus;
    for status in [JobStatus::Queued, JobStatus::Running] {
        loop {
            let page = store.jobs(&JobFilter {
                status: Some(status),
                plan: Some(plan),
                limit: 100,
                ..JobFilter::default()
            })?;
            for job in &page.jobs {
                match cancel_job(store, job.id, message) {
                    // It has ended since, or with one that it waited for.
                    Ok(_) | Err(StoreError::IllegalMove(_)) => {}
                    Err(error) => return Err(error.into()),
                }
            }
            // What runs is only asked to stop; once is enough.
            if page.jobs.is_empty() || status == JobStatus::Running {
                break;
            }
        }
    }
    Ok(())
}
