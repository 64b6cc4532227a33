//! SIGSTOP past the lease, then SIGCONT: somebody else has the job by then, and what the
//! stopped worker still writes is refused.

use std::thread;
use std::time::Duration;

use nix::sys::signal::Signal;

use crate::Result;
use crate::context::Context;
use crate::report::Report;
use crate::world::{Settings, World};

const WORKERS: usize = 4;

pub(crate) fn run(context: &Context) -> Result<Report> {
    let mut report = Report::default();
    let total = context.dosed(4, 200);
    let mut refused = 0;
    let (mut left, mut round) = (total, 0);
    while left > 0 {
        let these = left.min(20);
        let directory = context.place(format!("stopped-{round}"))?;
        let settings = Settings {
            // A lease is 0.4 s, a heartbeat due every 70 ms.
            speed: 150,
            // Some end while their worker is stopped, some outlast the lease.
            longest: 900,
            // So few that the job comes up again at once.
            nodes: 6,
            ..Settings::default()
        };
        let mut world = World::new(&directory, context.seed * 7 + round, settings)?;
        world.enqueue(these * 3 + 10)?;
        for _ in 0..WORKERS {
            world.start(context, &[])?;
        }
        for _ in 0..these {
            thread::sleep(Duration::from_millis(50 + world.random.below(150)));
            let worker = world.random.index(world.workers());
            world.signal(worker, Signal::SIGSTOP)?;
            let wait = Duration::from_millis(450 + world.random.below(700));
            thread::sleep(wait);
            world.signal(worker, Signal::SIGCONT)?;
            report.run(world.orphans()?);
        }
        thread::sleep(Duration::from_millis(300));
        let (_, broken) = world.kill_all(Duration::from_secs(30))?;
        report.violations.extend(broken);
        report.violations.extend(world.drain(context)?);
        refused += world.refused()?;
        left -= these;
        round += 1;
    }
    report.note(format!("{refused} stale writes refused"));
    if refused == 0 {
        report.run(vec!["no worker came back too late".to_owned()]);
    }
    Ok(report)
}
