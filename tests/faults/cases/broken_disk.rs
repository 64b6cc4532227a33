//! A disk that is full or fails: at the Nth write or sync, and a file system that is really full.

use std::path::Path;

use pressluft::process;

use crate::Result;
use crate::checker;
use crate::context::{Context, lines};
use crate::digest::digest;
use crate::random::Random;
use crate::reference::Reference;
use crate::report::Report;
use crate::roles::GAVE_UP;
use crate::script::Session;
use crate::shim::{self, EIO, ENOSPC, Failure, Kind};

/// How many random steps follow the fixed ones.
const RANDOM: usize = 60;

/// "No space" at the Nth write, N from 1.
pub(crate) fn no_space(context: &Context) -> Result<Report> {
    nth(context, Kind::Write, ENOSPC, 500)
}

/// An input/output error at the Nth write.
pub(crate) fn write_error(context: &Context) -> Result<Report> {
    nth(context, Kind::Write, EIO, 500)
}

/// An input/output error at the Nth sync.
pub(crate) fn sync_error(context: &Context) -> Result<Report> {
    nth(context, Kind::Sync, EIO, 100)
}

fn nth(context: &Context, kind: Kind, errno: i32, last: u64) -> Result<Report> {
    let mut report = Report::default();
    let library = shim::build(&context.directory)?;
    let reference = Reference::make(context.seed, RANDOM, &context.directory)?;
    let mut random = Random::new(context.seed);
    let stride = context.dosed(last / 6, 1);
    let (mut hit, mut at) = (0_u64, 1);
    while at <= last {
        for stays in [true, false] {
            let failure = Failure {
                kind,
                errno,
                at,
                count: (!stays).then(|| 1 + random.below(5)),
                is_short: kind == Kind::Write && random.one_in(2),
            };
            // From the start, or with a past, so that other steps meet the failure.
            let from = if random.one_in(2) {
                0
            } else {
                random.index(60)
            };
            let directory = context.place(format!("disk-{at}-{stays}"))?;
            let broken = one(context, &reference, &library, failure, from, &directory)?;
            hit += u64::from(broken.0);
            report.run(broken.1);
            std::fs::remove_dir_all(&directory)?;
        }
        at += stride;
    }
    report.note(format!("{hit} runs noticed it"));
    if hit == 0 {
        report.run(vec!["no run noticed the broken disk".to_owned()]);
    }
    Ok(report)
}

/// Whether the process noticed, and what broke.
fn one(
    context: &Context,
    reference: &Reference,
    library: &Path,
    failure: Failure,
    from: usize,
    directory: &Path,
) -> Result<(bool, Vec<String>)> {
    let path = reference.copy(from, directory)?;
    let acks = directory.join("acks");
    // A step makes 5 to 30 writes, and one or two syncs.
    let steps = usize::try_from(failure.at)? / if failure.kind == Kind::Write { 4 } else { 1 };
    let end = (from + steps + 5).min(reference.script.steps.len());
    let mut command = context.role("script")?;
    command
        .arg("--database")
        .arg(&path)
        .arg("--acks")
        .arg(&acks)
        .args(["--seed", &reference.script.seed().to_string()])
        .args(["--random", &RANDOM.to_string()])
        .args(["--from", &from.to_string()])
        // What is broken only for a while is tried again.
        .args(["--tries", if failure.count.is_some() { "10" } else { "1" }])
        .args(["--until", &end.to_string()])
        .args(["--checkpoints", "7"]);
    failure.apply(&mut command, library, &path);
    let output = command.output()?;
    let done = from + lines(&acks)?.len();
    let stderr = String::from_utf8_lossy(&output.stderr);
    let mut broken = Vec::new();
    let has_noticed = match output.status.code() {
        Some(0) => false,
        Some(code) if code == i32::from(GAVE_UP) && failure.count.is_none() => true,
        _ => {
            broken.push(format!(
                "{failure:?} from step {from}: {}: {stderr}",
                output.status
            ));
            true
        }
    };
    if !has_noticed && done != end {
        broken.push(format!("{failure:?}: ended well, but after {done} steps"));
    }
    let now = digest(&path)?;
    let Some(next) = [done, done + 1]
        .into_iter()
        .find(|steps| reference.digests.get(*steps) == Some(&now))
    else {
        broken.push(format!(
            "I1: {failure:?} from step {from}: step {done} is neither done nor undone"
        ));
        return Ok((has_noticed, broken));
    };
    broken.extend(
        checker::database(&path)
            .into_iter()
            .map(|violation| format!("{failure:?} from step {from}: {violation}")),
    );
    // There is room again: the next process goes on.
    let mut session = Session::new(&path);
    let end = (next + 6).min(reference.script.steps.len());
    for index in next..end {
        if let Err(error) = reference.script.run(&mut session, index) {
            broken.push(format!(
                "{failure:?}: step {index} fails afterwards: {error}"
            ));
        }
    }
    if digest(&path)? != reference.digests[end] {
        broken.push(format!("I1: {failure:?}: what follows is another state"));
    }
    Ok((has_noticed, broken))
}

/// A file system that fills up under the process, and gets room while it waits.
pub(crate) fn full_file_system(context: &Context) -> Result<Report> {
    let mut report = Report::default();
    if !context.is_contained {
        report.note("not run: it mounts a file system, which takes root and a namespace");
        return Ok(report);
    }
    let reference = Reference::make(context.seed, 200, &context.directory)?;
    let mut stopped = 0;
    for turn in 0..context.dosed(2, 40) {
        let mount = Mounted::new(&context.place(format!("full-{turn}"))?, 300 + turn * 12)?;
        let path = mount.path.join("state.db");
        let acks = context.directory.join(format!("full-acks-{turn}"));
        let output = context
            .role("script")?
            .arg("--database")
            .arg(&path)
            .arg("--acks")
            .arg(&acks)
            .args(["--seed", &reference.script.seed().to_string()])
            .args(["--random", "200"])
            .output()?;
        let done = lines(&acks)?.len();
        let mut broken = Vec::new();
        match output.status.code() {
            Some(code) if code == i32::from(GAVE_UP) => stopped += 1,
            Some(0) => {}
            _ => broken.push(format!(
                "a full file system: {}: {}",
                output.status,
                String::from_utf8_lossy(&output.stderr)
            )),
        }
        let said = String::from_utf8_lossy(&output.stderr);
        if !said.is_empty() && !said.contains("Full") {
            broken.push(format!("a full file system is not called that: {said}"));
        }
        mount.resize(64 * 1024)?;
        let now = digest(&path)?;
        match [done, done + 1]
            .into_iter()
            .find(|steps| reference.digests.get(*steps) == Some(&now))
        {
            None => broken.push(format!("I1: full: step {done} is neither done nor undone")),
            Some(next) => {
                broken.extend(checker::database(&path));
                let mut session = Session::new(&path);
                for index in next..reference.script.steps.len() {
                    if let Err(error) = reference.script.run(&mut session, index) {
                        broken.push(format!("full: step {index} fails afterwards: {error}"));
                    }
                }
                drop(session);
                if Some(&digest(&path)?) != reference.digests.last() {
                    broken.push("I1: full: what follows is another state".to_owned());
                }
                broken.extend(checker::database(&path));
            }
        }
        report.run(broken);
    }
    report.note(format!("{stopped} of them ran full"));
    if stopped == 0 {
        report.run(vec!["no file system ran full".to_owned()]);
    }
    Ok(report)
}

/// A small file system in memory.
struct Mounted {
    path: std::path::PathBuf,
}

impl Mounted {
    fn new(path: &Path, kibibytes: u64) -> Result<Self> {
        mount(
            &["-t", "tmpfs", "-o", &format!("size={kibibytes}k"), "tmpfs"],
            path,
        )?;
        Ok(Self {
            path: path.to_owned(),
        })
    }

    fn resize(&self, kibibytes: u64) -> Result<()> {
        mount(&["-o", &format!("remount,size={kibibytes}k")], &self.path)
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        // The namespace takes it along when it ends.
        drop(
            process::command("umount")
                .arg("-l")
                .arg(&self.path)
                .status(),
        );
    }
}

fn mount(arguments: &[&str], path: &Path) -> Result<()> {
    let status = process::command("mount")
        .args(arguments)
        .arg(path)
        .status()?;
    if status.success() {
        Ok(())
    } else {
        Err(format!("mount {arguments:?}: {status}").into())
    }
}
