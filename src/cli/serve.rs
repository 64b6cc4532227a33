//! `pressluft serve`

use std::cell::RefCell;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use super::context::Context;
use super::error::CliError;
use super::execute::{self, LimitArgs};
use super::exit::Exit;
use super::fleet::FleetArgs;
use super::history_settings::ClearingThread;
use super::progress_view::ProgressView;
use super::service_manager::ServiceManager;
use super::{git_settings, open, output, reconcile_view, web_settings, worker};
use crate::clock;
use crate::core::id::ResourceId;
use crate::core::reconcile::Cause;
use crate::daemon::role::{self, Post, Role};
use crate::daemon::{
    self, Delivery, Hindrance, Jobs, Parallel, Progress, Readiness, Reconciled, Runner, Setup,
    Shared, Stop, Urgency, Waker, Watch,
};
use crate::store::Store;

/// How often a daemon that does not run jobs looks whether it is to end.
const TICK: Duration = Duration::from_millis(250);

/// The fleet repo is named by the arguments or by `[git]` of `pressluft.toml`.
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    #[command(flatten)]
    fleet: FleetArgs,
    #[command(flatten)]
    limits: LimitArgs,
    /// Queue jobs and leave running them to `pressluft worker`
    #[arg(long)]
    no_jobs: bool,
    /// JSON lines on standard output
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(args: &Args, context: &Context) -> Result<Exit, CliError> {
    context.ensure_state_dir()?;
    let mut roles = vec![take(context, Post::Serve)?];
    if !args.no_jobs {
        roles.push(take(context, Post::Worker)?);
    }
    let mut store = open::for_writing(context)?;
    let setup = git_settings::setup(&args.fleet, context, &store)?;
    let runner = match args.no_jobs {
        true => None,
        false => Some(execute::runner(context, &store)?),
    };
    let waker = Waker::default();
    let stop = stop_on_signals(&waker)?;
    let watch = Watch::start(&setup.access.source, &context.state_dir, waker.clone());
    let watch = match watch {
        Ok(watch) => Some(watch),
        Err(error) => {
            output::note(&format!(
                "changes are seen at the next interval only: {error}"
            ))?;
            None
        }
    };
    if args.json {
        output::json_version()?;
    }
    let recorded = store.recorded(&ResourceId::Fleet)?;
    let of_fleet = recorded
        .and_then(|fleet| fleet.spec.get("reconcile.max_parallel_nodes")?.as_u64())
        .and_then(|count| usize::try_from(count).ok());
    let limits = args.limits.limits(context, of_fleet);
    let shared = Shared {
        waker: waker.clone(),
        readiness: Readiness::new(clock::now()),
        parallel: match args.limits.says_parallel() {
            // What the command line says holds.
            true => Parallel::new(1),
            false => limits.parallel.clone(),
        },
    };
    let endpoint = web_settings::open(context, &store, &shared, args.json)?;
    let reconciling = start_reconciling(setup, context, shared.clone(), args.json)?;
    let end = Arc::new(AtomicBool::new(false));
    let delivering = start_delivering(context, &store, &end)?;
    let clearing = ClearingThread::start(context)?;
    let manager = RefCell::new(ServiceManager::of_environment());
    manager.borrow().ready();
    // Every few seconds: this process lives, and so does its loop.
    let live = || {
        for role in &roles {
            role.keep(clock::now());
        }
        if stop.urgency() > Urgency::None {
            manager.borrow_mut().stopping();
        }
        manager.borrow_mut().alive();
    };
    let keep = || {
        if reconciling.is_finished() {
            stop.ask(Urgency::Drain);
        }
        live();
    };
    let ended = match runner {
        Some(runner) => {
            let jobs = (&runner, &limits, args.json);
            run_jobs(jobs, &mut store, &shared, &stop, &keep)
        }
        None => {
            wait(&stop, &keep, || false);
            Ok(())
        }
    };
    let broke_off = reconciling.is_finished();
    waker.close();
    drop(watch);
    drop(clearing);
    end.store(true, Ordering::SeqCst);
    // A pass that runs ends by itself; what it has queued is there for the next start.
    join(reconciling, "the reconcile loop", &stop, &live);
    if let Some(endpoint) = endpoint {
        endpoint.end();
    }
    join(delivering, "the delivery of notifications", &stop, &live);
    ended?;
    if broke_off {
        return Err(CliError::new("the reconcile loop broke off").hint("its log says why"));
    }
    Ok(if stop.urgency() > Urgency::Drain {
        Exit::Interrupted
    } else {
        Exit::Done
    })
}

/// Waits for the end of a thread. Whoever asks a second time does not want to wait, say for a git
/// host that sends nothing; what the thread does then ends as in a crash.
fn join(thread: JoinHandle<()>, what: &str, stop: &Stop, live: &dyn Fn()) {
    while !thread.is_finished() && stop.urgency() <= Urgency::Drain {
        live();
        thread::sleep(TICK / 10);
    }
    if thread.is_finished() && thread.join().is_err() {
        tracing::error!("{what} broke off");
    }
}

fn take(context: &Context, post: Post) -> Result<Role, CliError> {
    match role::take(&context.state_dir, post, clock::now())? {
        role::Taken::Held(role) => Ok(role),
        role::Taken::By(holder) => Err(worker::taken(context, holder.as_ref())),
    }
}

/// Stops on SIGTERM and SIGINT as a worker does. SIGHUP asks for a reconcile.
fn stop_on_signals(waker: &Waker) -> Result<Stop, CliError> {
    use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
    let mut signals = signal_hook::iterator::Signals::new([SIGINT, SIGTERM, SIGHUP])?;
    let stop = Stop::default();
    let (asked, waker) = (stop.clone(), waker.clone());
    thread::Builder::new()
        .name("signals".to_owned())
        .spawn(move || {
            let mut steps = [Urgency::Drain, Urgency::Requeue].into_iter();
            for signal in signals.forever() {
                if signal == SIGHUP {
                    waker.wake(Cause::Signal);
                } else {
                    asked.ask(steps.next().unwrap_or(Urgency::Requeue));
                }
            }
        })?;
    Ok(stop)
}

fn start_reconciling(
    setup: Setup,
    context: &Context,
    shared: Shared,
    is_json: bool,
) -> Result<JoinHandle<()>, CliError> {
    let mut store = Store::open(&context.db_path)?;
    let thread = thread::Builder::new()
        .name("reconcile".to_owned())
        .spawn(move || {
            let mut tell = |event: Reconciled| {
                let told = if is_json {
                    output::json_line(&reconcile_view::json(&event))
                } else if event.is_news() {
                    output::print(&reconcile_view::text(&event))
                } else {
                    Ok(())
                };
                // It goes on when nobody can be told about it any more.
                if let Err(error) = told {
                    tracing::debug!(error = %error.message, "nobody reads what is told");
                }
            };
            daemon::keep_reconciling(&setup, &mut store, &shared, &mut tell);
        })?;
    Ok(thread)
}

fn start_delivering(
    context: &Context,
    store: &Store,
    end: &Arc<AtomicBool>,
) -> Result<JoinHandle<()>, CliError> {
    let delivery = Delivery {
        identity: execute::identity(context, store)?,
        statuses: git_settings::status_target(context, store)?,
        reserved: context.reserved(),
        allow_private: context.sources.allow_private.clone(),
        end: Arc::clone(end),
    };
    let mut store = Store::open(&context.db_path)?;
    let thread = thread::Builder::new()
        .name("notify".to_owned())
        .spawn(move || daemon::keep_delivering(&mut store, &delivery))?;
    Ok(thread)
}

/// Runs jobs until it is to end. A database that is paused is waited for.
fn run_jobs(
    (runner, limits, is_json): (&Arc<Runner>, &daemon::Limits, bool),
    store: &mut Store,
    shared: &Shared,
    stop: &Stop,
    keep: &dyn Fn(),
) -> Result<(), CliError> {
    wait(stop, keep, || matches!(store.pause(), Ok(None)));
    if stop.urgency() > Urgency::None {
        return Ok(());
    }
    let mut view = ProgressView::new(is_json, false);
    let mut watch = |progress: Progress| {
        follow(&progress, shared);
        // The jobs go on when nobody can be told about them any more.
        if let Err(error) = view.show(&progress) {
            tracing::debug!(error = %error.message, "nobody reads what is told");
        }
    };
    let may_claim = || {
        keep();
        true
    };
    daemon::run(
        runner,
        store,
        &Jobs::All,
        limits,
        &may_claim,
        stop,
        &mut watch,
    )?;
    Ok(())
}

/// What the end of a job or the state of the disk means for the rest of the daemon.
fn follow(progress: &Progress, shared: &Shared) {
    let now = clock::now();
    match progress {
        Progress::JobFinished { .. } => shared.waker.wake(Cause::Jobs),
        Progress::Disk { trouble, .. } => {
            shared.readiness.note(Hindrance::Disk, trouble.clone(), now);
        }
        Progress::Draining { running } => {
            let message = format!("it is to end; {running} jobs still run");
            shared
                .readiness
                .note(Hindrance::Stopping, Some(message), now);
        }
        Progress::JobStarted { .. }
        | Progress::TaskStarted { .. }
        | Progress::Task { .. }
        | Progress::NodeAnswers { .. } => {}
    }
}

/// Waits until it is to end or `is_over`.
fn wait(stop: &Stop, keep: &dyn Fn(), is_over: impl Fn() -> bool) {
    keep();
    while stop.urgency() == Urgency::None && !is_over() {
        thread::sleep(TICK);
        keep();
    }
    // It may have been asked to end since the last look, which is to be told, too.
    keep();
}
