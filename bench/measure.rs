//! Measures one thing in a process of its own: how long it took and how much memory it had.

use std::fs;
use std::io;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use pressluft::core::change::SpecPatch;
use pressluft::core::document::{EnvironmentDocument, FleetDocument, NodeDocument, SiteDocument};
use pressluft::core::plan::Choice;
use pressluft::core::recorded::ResourceStatus;
use pressluft::core::secret_owner::Reserved;
use pressluft::daemon::{self, Purpose};
use pressluft::store::{RecordPatch, Revision, StateChange, Store};
use pressluft::{clock, git, process};

/// What one run took.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Run {
    pub(crate) time: Duration,
    /// The most memory that the process had at any time, in bytes.
    pub(crate) memory: u64,
}

/// Runs this program again for `what`, and reads what it measured.
pub(crate) fn run(what: &str, fleet: &Path, state: &Path) -> io::Result<Run> {
    let output = process::command(std::env::current_exe()?)
        .args([what.as_ref(), fleet.as_os_str(), state.as_os_str()])
        .stderr(Stdio::inherit())
        .output()?;
    let text = String::from_utf8_lossy(&output.stdout);
    let mut numbers = text.split_whitespace().map(str::parse::<u64>);
    match (numbers.next(), numbers.next()) {
        (Some(Ok(nanoseconds)), Some(Ok(memory))) if output.status.success() => Ok(Run {
            time: Duration::from_nanos(nanoseconds),
            memory,
        }),
        _ => Err(io::Error::other(format!(
            "`{what}` failed: {}: {text}",
            output.status
        ))),
    }
}

/// What the process that [`run`] starts does. The line is nanoseconds and bytes.
pub(crate) fn child(what: &str, fleet: &Path, state: &Path) -> io::Result<String> {
    let started = Instant::now();
    match what {
        "only-parse" => only_parse(fleet)?,
        "snapshot" => drop(snapshot(fleet, state)?),
        "load" => drop(load(fleet, state)?),
        "record" => record(fleet, state)?,
        "plan" => plan(fleet, state)?,
        other => return Err(io::Error::other(format!("nothing is called `{other}`"))),
    }
    let time = started.elapsed();
    Ok(format!("{} {}", time.as_nanos(), peak_memory()?))
}

/// The floor: read every file and give its documents to the YAML crate, and nothing else.
fn only_parse(fleet: &Path) -> io::Result<()> {
    let mut directories = vec![fleet.to_owned()];
    let mut documents = Vec::new();
    while let Some(directory) = directories.pop() {
        for entry in fs::read_dir(directory)? {
            let entry = entry?;
            if entry.file_type()?.is_dir() {
                if entry.file_name() != ".git" {
                    directories.push(entry.path());
                }
                continue;
            }
            let text = fs::read_to_string(entry.path())?;
            for document in text.split("\n---\n") {
                documents.push(typed(document).map_err(io::Error::other)?);
            }
        }
    }
    if documents.is_empty() {
        return Err(io::Error::other("there is nothing to parse"));
    }
    Ok(())
}

#[expect(dead_code, reason = "the documents are made to be thrown away")]
#[expect(clippy::large_enum_variant, reason = "as in the program")]
enum Typed {
    Fleet(Box<FleetDocument>),
    Node(NodeDocument),
    Site(SiteDocument),
    Environment(EnvironmentDocument),
}

fn typed(text: &str) -> Result<Typed, serde_yaml::Error> {
    let kind = text
        .lines()
        .find_map(|line| line.strip_prefix("kind: "))
        .unwrap_or_default();
    Ok(match kind {
        "Fleet" => Typed::Fleet(serde_yaml::from_str(text)?),
        "Node" => Typed::Node(serde_yaml::from_str(text)?),
        "Site" => Typed::Site(serde_yaml::from_str(text)?),
        _ => Typed::Environment(serde_yaml::from_str(text)?),
    })
}

fn snapshot(fleet: &Path, state: &Path) -> io::Result<git::Snapshot> {
    git::open_working_tree(fleet, Some(state)).map_err(io::Error::other)
}

fn load(fleet: &Path, state: &Path) -> io::Result<git::DesiredState> {
    let snapshot = snapshot(fleet, state)?;
    match git::load_desired(snapshot, Some(state), &Reserved::default())
        .map_err(io::Error::other)?
    {
        git::Loaded::Valid(desired, diagnostics) if diagnostics.is_empty() => Ok(*desired),
        git::Loaded::Valid(_, diagnostics) => Err(io::Error::other(format!("{diagnostics:?}"))),
        git::Loaded::Invalid(_, assembled) => {
            Err(io::Error::other(format!("{:?}", assembled.diagnostics)))
        }
    }
}

/// The database stays where the caches beside it are removed.
fn database(state: &Path) -> std::path::PathBuf {
    state.with_file_name("record").join("pressluft.db")
}

/// Records the whole fleet as if every job had succeeded.
fn record(fleet: &Path, state: &Path) -> io::Result<()> {
    let desired = load(fleet, state)?;
    let mut store = Store::open(&database(state)).map_err(io::Error::other)?;
    let now = clock::now();
    let revision = Revision {
        id: "bench".to_owned(),
        author: None,
        message: None,
        committed_at: None,
        dirty: false,
    };
    store
        .save_revision(&revision, now)
        .map_err(io::Error::other)?;
    let mut changes = Vec::new();
    for id in desired.ids() {
        let gone = || io::Error::other(format!("`{id}` is gone"));
        let spec = desired.spec(id).map_err(io::Error::other)?;
        changes.push(StateChange::Patch(Box::new(RecordPatch {
            id: id.clone(),
            patch: SpecPatch::of(&spec.ok_or_else(gone)?),
            status: Some(ResourceStatus::Active),
            node: None,
            revision: "bench".to_owned(),
            source: desired.source(id),
            fingerprints: std::collections::BTreeMap::new(),
        })));
    }
    store
        .set_recorded(&changes, &[], "bench", "bench", now)
        .map_err(io::Error::other)
}

/// All that `pressluft plan` does before it prints.
fn plan(fleet: &Path, state: &Path) -> io::Result<()> {
    let desired = load(fleet, state)?;
    let store = Store::open_read_only(&database(state)).map_err(io::Error::other)?;
    let choice = Choice::default();
    let prepared = daemon::plan(&desired, Some(&store), None, &choice, Purpose::Show)
        .map_err(io::Error::other)?;
    // Each turn changes one file, by one field of one resource at most.
    let changes = prepared.plan.jobs.len() + prepared.plan.records.len();
    if changes > 8 {
        return Err(io::Error::other(format!(
            "{changes} changes of an up-to-date record"
        )));
    }
    Ok(())
}

fn peak_memory() -> io::Result<u64> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kibibytes = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
    kibibytes
        .map(|k| k * 1024)
        .ok_or_else(|| io::Error::other("no VmHWM in /proc/self/status"))
}
