//! `kill -9` at random, under load: whoever dies, the others and the next one go on.

use std::thread;
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};

use crate::Result;
use crate::context::Context;
use crate::report::Report;
use crate::world::{Settings, World};

/// The kills of one database.
const ROUND: u64 = 250;
const WORKERS: usize = 4;

/// Four workers; one of them is killed at a random moment, and another started at once.
pub(crate) fn at_random(context: &Context) -> Result<Report> {
    rounds(
        context,
        context.dosed(40, 10_000),
        &Settings::default(),
        Kill::Outside,
    )
}

/// The same, where most jobs are for one site.
pub(crate) fn hot_site(context: &Context) -> Result<Report> {
    let settings = Settings {
        has_hot_site: true,
        ..Settings::default()
    };
    rounds(context, context.dosed(20, 1_000), &settings, Kill::Outside)
}

/// The same, while every worker's clock jumps by an hour or a day, back and forth.
pub(crate) fn clock_jumps(context: &Context) -> Result<Report> {
    let settings = Settings {
        flags: &["--jumps"],
        ..Settings::default()
    };
    let kills = context.dosed(20, 1_000);
    rounds(context, kills, &settings, Kill::Outside)
}

/// The same with jobs that ignore SIGTERM: the supervisor has to kill them.
pub(crate) fn stubborn_children(context: &Context) -> Result<Report> {
    let settings = Settings {
        longest: 20_000,
        flags: &["--stubborn"],
        ..Settings::default()
    };
    rounds(context, context.dosed(4, 100), &settings, Kill::Outside)
}

/// The supervisor dies, as if memory had run out, and its worker goes on. What it was about to
/// start sees that and ends by itself, which takes a few milliseconds.
pub(crate) fn supervisors(context: &Context) -> Result<Report> {
    let mut report = Report::default();
    let directory = context.place("supervisors")?;
    let settings = Settings {
        longest: 60,
        ..Settings::default()
    };
    let mut world = World::new(&directory, context.seed, settings)?;
    let kills = context.dosed(10, 500);
    world.enqueue(kills * 3)?;
    for _ in 0..WORKERS {
        world.start(context, &[])?;
    }
    let mut patience = kills * 40;
    while report.runs < kills && patience > 0 {
        patience -= 1;
        thread::sleep(Duration::from_millis(world.random.below(20)));
        let running = world.supervisors()?;
        if running.is_empty() {
            if patience.is_multiple_of(5) {
                world.enqueue(40)?;
            }
            continue;
        }
        let victim = running[world.random.index(running.len())];
        match kill(victim, Signal::SIGKILL) {
            Ok(()) | Err(Errno::ESRCH) => report.run(world.lasting_orphans()?),
            Err(error) => return Err(error.into()),
        }
        if report.runs.is_multiple_of(20) {
            world.enqueue(40)?;
        }
    }
    if report.runs < kills {
        report.run(vec!["there were too few supervisors to kill".to_owned()]);
    }
    let (_, broken) = world.kill_all(Duration::from_secs(30))?;
    report.violations.extend(broken);
    report.violations.extend(world.drain(context)?);
    Ok(report)
}

/// Workers die at labelled places while others work on the same database.
pub(crate) fn crash_points_under_load(context: &Context) -> Result<Report> {
    if cfg!(feature = "crash-points") {
        rounds(
            context,
            context.dosed(20, 1_000),
            &Settings::default(),
            Kill::Inside,
        )
    } else {
        let mut report = Report::default();
        report.note("not compiled in: --features crash-points");
        Ok(report)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kill {
    Outside,
    Inside,
}

/// Places that a worker reaches all the time.
const PLACES: &[&str] = &[
    "write: begun",
    "write: ready",
    "write: committed",
    "claim: job taken",
    "claim: audited",
    "claim: committed",
    "process: recorded",
    "fence: committed",
    "events: counted",
    "finish: begun",
    "finish: settled",
    "finish: state applied",
    "finish: followed up",
    "interrupt: begun",
    "interrupt: settled",
    "interrupt: followed up",
    "lose: moved",
    "head: opened",
    "head: written",
];

fn rounds(context: &Context, kills: u64, settings: &Settings, kill: Kill) -> Result<Report> {
    let mut report = Report::default();
    let mut slowest = Duration::ZERO;
    let (mut left, mut round) = (kills, 0);
    while left > 0 {
        let these = left.min(ROUND);
        let directory = context.place(format!("round-{round}"))?;
        let seed = context.seed * 1_000_003 + round;
        let mut world = World::new(&directory, seed, settings.clone())?;
        slowest = slowest.max(one(
            context,
            &mut world,
            these,
            settings,
            kill,
            &mut report,
        )?);
        drop(world);
        std::fs::remove_dir_all(&directory)?;
        left -= these;
        round += 1;
    }
    report.note(format!(
        "children gone after at most {} ms",
        slowest.as_millis()
    ));
    Ok(report)
}

fn one(
    context: &Context,
    world: &mut World,
    kills: u64,
    settings: &Settings,
    kill: Kill,
    report: &mut Report,
) -> Result<Duration> {
    world.enqueue(kills + 20)?;
    for _ in 0..WORKERS {
        let arguments = crash(world, kill);
        world.start(context, &arguments)?;
    }
    for number in 0..kills {
        let longest = if settings.longest > 100 { 200 } else { 40 };
        let worker = world.random.index(WORKERS);
        let wait = Duration::from_millis(world.random.below(longest));
        match kill {
            Kill::Outside => thread::sleep(wait),
            Kill::Inside => {
                // It dies by itself, or of old age.
                let mut patience = 200;
                while !world.has_ended(worker)? && patience > 0 {
                    thread::sleep(Duration::from_millis(1));
                    patience -= 1;
                }
            }
        }
        let arguments = crash(world, kill);
        let mut broken = world.replace(context, worker, &arguments)?;
        if number.is_multiple_of(5) {
            broken.extend(world.orphans()?);
        }
        if number.is_multiple_of(10) {
            world.enqueue(6)?;
        }
        if number.is_multiple_of(15) {
            world.cancel_one()?;
        }
        report.run(broken);
    }
    let (slowest, broken) = world.kill_all(Duration::from_secs(30))?;
    report.violations.extend(broken);
    report.violations.extend(world.drain(context)?);
    Ok(slowest)
}

fn crash(world: &mut World, kill: Kill) -> Vec<String> {
    match kill {
        Kill::Outside => Vec::new(),
        Kill::Inside => {
            let label = PLACES[world.random.index(PLACES.len())];
            let hit = 1 + world.random.below(4);
            ["--crash", label, "--hit", &hit.to_string()]
                .map(str::to_owned)
                .to_vec()
        }
    }
}
