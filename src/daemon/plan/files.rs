//! The files that a plan would alter, rendered from what is recorded and from what is wanted,
//! without touching a host.

use super::super::error::DaemonError;
use super::super::run::variables::Subject;
use super::payload::JobPayload;
use super::prepared::Prepared;
use crate::core::desired::HasSpec;
use crate::core::facts::NodeFacts;
use crate::core::id::ResourceId;
use crate::core::plan::{Action, PlannedJob};
use crate::core::tree::{ItemKind, Tree};
use crate::core::unified::unified;
use crate::store::Store;

/// What one job would do to the files of its node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileChanges {
    /// The id that the job has in the plan.
    pub job: String,
    pub resource: ResourceId,
    pub files: Vec<FileChange>,
    /// Why the files cannot be shown yet, if they cannot.
    pub unknown: Option<String>,
}

/// One path that would change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileChange {
    pub path: String,
    /// In unified form.
    pub diff: String,
}

/// Shows the files of every job of the plan that places some, until that fails.
///
/// # Errors
/// When the database fails.
pub fn file_changes<E: From<DaemonError>>(
    prepared: &Prepared,
    store: Option<&Store>,
    show: &mut dyn FnMut(FileChanges) -> Result<(), E>,
) -> Result<(), E> {
    let payloads = prepared.payloads();
    for job in &prepared.plan.jobs {
        if let Some(changes) = of_job(job, payloads.of(job)?, store)? {
            show(changes)?;
        }
    }
    Ok(())
}

fn of_job(
    job: &PlannedJob,
    payload: JobPayload,
    store: Option<&Store>,
) -> Result<Option<FileChanges>, DaemonError> {
    let facts = match store {
        Some(store) => store.node_facts(&job.node)?,
        None => None,
    };
    let before = match store {
        Some(store) if job.action != Action::Create => recorded_payload(store, &payload)?,
        Some(_) | None => None,
    };
    Ok(changes_of(job, payload, before, facts.as_ref()))
}

fn changes_of(
    job: &PlannedJob,
    payload: JobPayload,
    before: Option<JobPayload>,
    facts: Option<&NodeFacts>,
) -> Option<FileChanges> {
    let render = |payload: JobPayload| -> Result<Option<Tree>, String> {
        let subject = Subject::new(payload, facts.cloned());
        subject
            .tree(job.job_type, None)
            .map_err(|error| error.to_string())
    };
    let mut changes = FileChanges {
        job: job.id.clone(),
        resource: job.resource.clone(),
        files: Vec::new(),
        unknown: None,
    };
    match (render(payload), before.map(render).transpose()) {
        (Ok(None), _) => return None,
        (Ok(Some(after)), Ok(before)) => changes.files = compare(before.flatten().as_ref(), &after),
        (Err(why), _) | (_, Err(why)) => changes.unknown = Some(why),
    }
    Some(changes)
}

/// The same job's payload as it would have been when the record was made.
fn recorded_payload(
    store: &Store,
    payload: &JobPayload,
) -> Result<Option<JobPayload>, DaemonError> {
    fn recorded<T: HasSpec>(store: &Store, id: &ResourceId) -> Result<Option<T>, DaemonError> {
        match store.recorded(id)? {
            Some(resource) => Ok(Some(T::from_spec(&resource.spec)?)),
            None => Ok(None),
        }
    }
    let fleet = recorded(store, &ResourceId::Fleet)?;
    let node = recorded(store, &payload.node.id())?;
    let (Some(fleet), Some(node)) = (fleet, node) else {
        return Ok(None);
    };
    let site = match &payload.site {
        Some(site) => recorded(store, &site.id())?,
        None => None,
    };
    let env = match &payload.env {
        Some(env) => recorded(store, &env.id())?,
        None => None,
    };
    Ok(Some(JobPayload {
        fleet,
        node,
        site: site.or_else(|| payload.site.clone()),
        env: env.or_else(|| payload.env.clone()),
        ..payload.clone()
    }))
}

fn compare(before: Option<&Tree>, after: &Tree) -> Vec<FileChange> {
    let describe = |tree: &Tree, path: &str| -> String {
        tree.items
            .iter()
            .find(|item| item.path == path)
            .map_or_else(String::new, |item| {
                let owner = item.owner.as_deref().unwrap_or("-");
                let group = item.group.as_deref().unwrap_or("-");
                let mode = item.mode.unwrap_or("-");
                match item.kind {
                    ItemKind::File => {
                        let content = if item.sensitive && item.content.is_none() {
                            "(sensitive)\n"
                        } else {
                            item.content.as_deref().unwrap_or("")
                        };
                        format!("# file {owner}:{group} {mode}\n{content}")
                    }
                    ItemKind::Directory => format!("# directory {owner}:{group} {mode}\n"),
                    ItemKind::Link => {
                        format!("# link to {}\n", item.target.as_deref().unwrap_or("-"))
                    }
                    ItemKind::Absent => String::new(),
                }
            })
    };
    let mut paths: Vec<&str> = before
        .into_iter()
        .chain([after])
        .flat_map(|tree| tree.items.iter().map(|item| item.path.as_str()))
        .collect();
    paths.sort_unstable();
    paths.dedup();
    paths
        .into_iter()
        .filter_map(|path| {
            let old = before.map_or_else(String::new, |tree| describe(tree, path));
            let diff = unified(path, &old, &describe(after, path));
            (!diff.is_empty()).then(|| FileChange {
                path: path.to_owned(),
                diff,
            })
        })
        .collect()
}
