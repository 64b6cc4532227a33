//! Several workers that start at the same moment.

use crate::Result;
use crate::context::Context;
use crate::report::Report;
use crate::world::{Settings, World};

const WORKERS: usize = 6;

/// On a database that none of them has made yet.
pub(crate) fn new_database(context: &Context) -> Result<Report> {
    let mut report = Report::default();
    for turn in 0..context.dosed(3, 100) {
        let directory = context.place(format!("new-{turn}"))?;
        let path = directory.join("state.db");
        let children = (0..WORKERS)
            .map(|n| {
                Ok(context
                    .role("script")?
                    .arg("--database")
                    .arg(&path)
                    .arg("--acks")
                    .arg(directory.join(format!("acks-{n}")))
                    // It opens the database and records the revision.
                    .args(["--until", "2"])
                    .stderr(std::process::Stdio::piped())
                    .spawn()?)
            })
            .collect::<Result<Vec<_>>>()?;
        let mut broken = Vec::new();
        for child in children {
            let output = child.wait_with_output()?;
            if !output.status.success() {
                broken.push(String::from_utf8_lossy(&output.stderr).into_owned());
            }
        }
        broken.extend(crate::checker::database(&path));
        report.run(broken);
    }
    Ok(report)
}

/// On one whose jobs are all held by workers that died.
pub(crate) fn after_a_death(context: &Context) -> Result<Report> {
    let mut report = Report::default();
    for turn in 0..context.dosed(2, 100) {
        let directory = context.place(format!("dead-{turn}"))?;
        let settings = Settings {
            speed: 150,
            nodes: 12,
            ..Settings::default()
        };
        let mut world = World::new(&directory, context.seed + turn, settings)?;
        world.enqueue(30)?;
        // A process that ended long ago on this machine.
        let mut gone = pressluft::daemon::WorkerId::this()?;
        gone.start -= 1;
        while world.claim_as(&gone.to_string())? {}
        for _ in 2..WORKERS {
            world.start(context, &["--drain".to_owned()])?;
        }
        report.run(world.drain(context)?);
    }
    Ok(report)
}
