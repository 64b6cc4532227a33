//! Power loss: every write of a run is logged, and the disk is put together as it may be found
//! afterwards: at each sync, and when somebody was told that a step is done. What was synced is
//! there; of the rest any part, sector by sector.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use crate::Result;
use crate::checker;
use crate::context::Context;
use crate::digest::digest;
use crate::random::Random;
use crate::reference::Reference;
use crate::report::Report;
use crate::script::Session;
use crate::shim::{self, Operation, What};

/// How many random steps follow the fixed ones.
const RANDOM: usize = 60;
/// What a disk writes wholly or not at all.
const SECTOR: usize = 512;

pub(crate) fn run(context: &Context) -> Result<Report> {
    let mut report = Report::default();
    let library = shim::build(&context.directory)?;
    for seed in 0..context.dosed(1, 3) {
        let reference = Reference::make(context.seed + seed, RANDOM, &context.directory)?;
        let directory = context.place(format!("run-{seed}"))?;
        let log = context.directory.join(format!("log-{seed}"));
        let path = directory.join("state.db");
        let mut command = context.role("script")?;
        command
            .arg("--database")
            .arg(&path)
            .arg("--acks")
            .arg(directory.join("acks"))
            .args(["--seed", &reference.script.seed().to_string()])
            .args(["--random", &RANDOM.to_string()])
            .args(["--checkpoints", "9"]);
        shim::log(&mut command, &library, &directory, &log);
        let output = command.output()?;
        if !output.status.success() {
            return Err(String::from_utf8_lossy(&output.stderr).into_owned().into());
        }
        let operations = shim::read_log(&log)?;
        report.add(replay(context, &reference, &operations, &path, seed)?);
    }
    Ok(report)
}

/// The disk while the log is followed.
#[derive(Default)]
struct Disk {
    files: BTreeMap<PathBuf, File>,
}

#[derive(Default)]
struct File {
    /// What is on the disk for sure; none: it may not be there.
    synced: Option<Vec<u8>>,
    pending: Vec<What>,
}

impl File {
    fn forget_removed(&mut self) {
        let removed = |what: &What| matches!(what, What::Unlink);
        if let Some(last) = self.pending.iter().rposition(removed) {
            self.pending.drain(..=last);
            self.synced = None;
        }
    }
}

/// How much of what was not synced is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Luck {
    Nothing,
    Everything,
    /// The length of files, but zeros for what was not synced.
    Zeros,
    /// Each sector or not.
    Some,
}

fn replay(
    context: &Context,
    reference: &Reference,
    operations: &[Operation],
    path: &Path,
    seed: u64,
) -> Result<Report> {
    let acks = path.with_file_name("acks");
    let root = path.parent().ok_or("a database without a directory")?;
    let mut report = Report::default();
    let mut disk = Disk::default();
    let mut random = Random::new(context.seed + seed);
    let (mut acknowledged, mut barriers) = (0_usize, 0_u64);
    for (number, operation) in operations.iter().enumerate() {
        if operation.path == acks {
            // Somebody outside has seen it: it has to be there from now on.
            acknowledged += usize::from(matches!(operation.what, What::Write { .. }));
        }
        let is_sync = matches!(operation.what, What::Sync);
        if is_sync || operation.path == acks {
            barriers += 1;
            if barriers.is_multiple_of(context.dosed(12, 1)) {
                for luck in lucks(context) {
                    let found = context.place(format!("found-{seed}-{number}"))?;
                    let database = found.join("state.db");
                    disk.write(root, &found, luck, &mut random)?;
                    let place = format!("power lost at moment {barriers}, {luck:?}");
                    report.run(judge(reference, &database, acknowledged, &place)?);
                    fs::remove_dir_all(&found)?;
                }
            }
        }
        if operation.path != acks {
            disk.follow(operation);
        }
    }
    report.note(format!("{barriers} moments"));
    if barriers < 100 || acknowledged != reference.script.steps.len() {
        report.run(vec![format!("the log has only {barriers} moments")]);
    }
    Ok(report)
}

fn lucks(context: &Context) -> Vec<Luck> {
    let mut lucks = vec![Luck::Nothing, Luck::Everything, Luck::Zeros];
    lucks.extend((0..context.dosed(1, 4)).map(|_| Luck::Some));
    lucks
}

fn judge(
    reference: &Reference,
    database: &Path,
    acknowledged: usize,
    place: &str,
) -> Result<Vec<String>> {
    let now = match digest(database) {
        Ok(now) => now,
        Err(error) => return Ok(vec![format!("I7: {place}: {error}")]),
    };
    let Some(next) = [acknowledged, acknowledged + 1]
        .into_iter()
        .find(|steps| reference.digests.get(*steps) == Some(&now))
    else {
        let lost = reference.digests.iter().position(|known| *known == now);
        return Ok(vec![format!(
            "I1: {place}: {acknowledged} steps were acknowledged, found the state after {lost:?}"
        )]);
    };
    let mut broken: Vec<String> = checker::database(database)
        .into_iter()
        .map(|violation| format!("{place}: {violation}"))
        .collect();
    let mut session = Session::new(database);
    let end = (next + 2).min(reference.script.steps.len());
    for index in next..end {
        if let Err(error) = reference.script.run(&mut session, index) {
            broken.push(format!("{place}: step {index} fails afterwards: {error}"));
        }
    }
    if digest(database)? != reference.digests[end] {
        broken.push(format!("I1: {place}: what follows is another state"));
    }
    // Also what is noted beside the database is good again after the next write.
    broken.extend(
        checker::database(database)
            .into_iter()
            .map(|violation| format!("{place}, later: {violation}")),
    );
    Ok(broken)
}

impl Disk {
    fn follow(&mut self, operation: &Operation) {
        if matches!(operation.what, What::Sync) && operation.path.is_dir() {
            // The directory now says for good which of its files are gone.
            self.files.values_mut().for_each(File::forget_removed);
            return;
        }
        let file = self.files.entry(operation.path.clone()).or_default();
        match &operation.what {
            What::Sync => {
                let mut content = file.synced.take();
                for what in file.pending.drain(..) {
                    whole(&mut content, &what);
                }
                file.synced = content;
            }
            What::Rename(to) => {
                let moved = std::mem::take(file);
                self.files.insert(to.clone(), moved);
            }
            other => file.pending.push(other.clone()),
        }
    }

    /// Writes what is found below `root` into `directory`.
    fn write(&self, root: &Path, directory: &Path, luck: Luck, random: &mut Random) -> Result<()> {
        for (path, file) in &self.files {
            let mut content = file.synced.clone();
            for what in &file.pending {
                match luck {
                    Luck::Nothing => {}
                    Luck::Everything => whole(&mut content, what),
                    Luck::Zeros => zeros(&mut content, what),
                    Luck::Some => partly(&mut content, what, random),
                }
            }
            if let Some(content) = content {
                let target = directory.join(path.strip_prefix(root)?);
                fs::create_dir_all(target.parent().ok_or("a file without a directory")?)?;
                fs::write(target, content)?;
            }
        }
        Ok(())
    }
}

fn whole(content: &mut Option<Vec<u8>>, what: &What) {
    match what {
        What::Write { offset, bytes } => put(content, *offset, bytes),
        What::Truncate(length) => content.get_or_insert_default().resize(*length, 0),
        What::Unlink => *content = None,
        What::Sync | What::Rename(_) => {}
    }
}

/// The file has grown, but its new part is not written.
fn zeros(content: &mut Option<Vec<u8>>, what: &What) {
    if let What::Write { offset, bytes } = what {
        let content = content.get_or_insert_default();
        let length = content.len().max(offset + bytes.len());
        content.resize(length, 0);
    }
}

fn partly(content: &mut Option<Vec<u8>>, what: &What, random: &mut Random) {
    match what {
        What::Write { offset, bytes } => {
            let mut at = *offset;
            let end = offset + bytes.len();
            while at < end {
                let next = ((at / SECTOR + 1) * SECTOR).min(end);
                if random.one_in(2) {
                    put(content, at, &bytes[at - offset..next - offset]);
                }
                at = next;
            }
        }
        other => {
            if random.one_in(2) {
                whole(content, other);
            }
        }
    }
}

fn put(content: &mut Option<Vec<u8>>, offset: usize, bytes: &[u8]) {
    let content = content.get_or_insert_default();
    let length = content.len().max(offset + bytes.len());
    content.resize(length, 0);
    content[offset..offset + bytes.len()].copy_from_slice(bytes);
}
