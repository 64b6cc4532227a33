//! Templates of the fleet repo are rendered before anything is planned: a picture, with nothing
//! secret in it, for nodes and environments of the fleet.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::{Commit, error};
use crate::core::desired::HasSpec;
use crate::core::diagnostic::Diagnostic;
use crate::core::document::read::nearest;
use crate::core::document::{Environment, Fleet, Node, Site};
use crate::core::facts::NodeFacts;
use crate::core::id::ResourceId;
use crate::core::job::JobType;
use crate::core::tree::{RenderError, Templates};
use crate::daemon::plan::payload::JobPayload;
use crate::daemon::run::variables::Subject;

/// For how many nodes and for how many environments the templates are rendered.
const MOST: usize = 16;

/// How long all of it may take. A template that goes beyond its bounds takes seconds, and there are
/// some dozens.
const LONGEST: Duration = Duration::from_secs(60);

pub(super) fn check(
    commit: &Commit<'_>,
    mut overrides: BTreeMap<String, String>,
    problems: &mut Vec<Diagnostic>,
) {
    if overrides.is_empty() {
        return;
    }
    let end = Instant::now() + LONGEST;
    for (job_type, payload) in pictures(commit) {
        check_one(job_type, &payload, &mut overrides, end, problems);
        if Instant::now() > end {
            return;
        }
    }
}

/// Renders the files of one resource; templates that fail are told once and left out from then on.
fn check_one(
    job_type: JobType,
    payload: &JobPayload,
    overrides: &mut BTreeMap<String, String>,
    end: Instant,
    problems: &mut Vec<Diagnostic>,
) {
    let render = |templates: BTreeMap<String, String>| {
        let payload = JobPayload {
            templates,
            ..payload.clone()
        };
        Subject::new(payload, Some(facts())).tree(job_type, None)
    };
    // As many times as there are templates to tell about.
    while Instant::now() < end {
        let Err(failed) = render(overrides.clone()) else {
            return;
        };
        let (template, problem) = match failed {
            RenderError::Template {
                template,
                line,
                reason,
            } => {
                let problem = error(
                    &format!("templates/{template}"),
                    line.unwrap_or(1),
                    "template-invalid",
                    format!(
                        "the template cannot be rendered for {}: {reason}",
                        of(payload)
                    ),
                    "docs/fleet-repo.md says what a template sees",
                );
                (template, problem)
            }
            RenderError::TooExpensive { template, bound } => {
                let problem = error(
                    &format!("templates/{template}"),
                    1,
                    "template-too-expensive",
                    format!(
                        "the template cannot be rendered for {}: {bound}",
                        of(payload)
                    ),
                    "make it simpler",
                );
                (template, problem)
            }
            // That is about the document, whose job tells it.
            RenderError::UnknownTemplate(_)
            | RenderError::Missing(_)
            | RenderError::Value { .. } => return,
        };
        problems.push(problem);
        if overrides.remove(&template).is_none() {
            // One of ours refuses a value, whatever the others do.
            problems.pop();
            return;
        }
    }
}

fn of(payload: &JobPayload) -> String {
    let id = payload.environment_id();
    format!("`{}`", id.unwrap_or_else(|| payload.node.id()))
}

/// The problem of a file below `templates/` that replaces nothing.
pub(super) fn unknown(file: &str) -> Option<Diagnostic> {
    let path = file.strip_prefix("templates/").unwrap_or(file);
    if Templates::names().any(|known| known == path) {
        return None;
    }
    let moved = "it became `templates/php/fpm.conf` and `templates/php/environment.ini`";
    let hint = match nearest(path, Templates::names()) {
        _ if path == "php/pool.conf" => moved.to_owned(),
        Some(near) => format!("did you mean `templates/{near}`?"),
        None => "remove it; docs/fleet-repo.md lists the templates that can be replaced".to_owned(),
    };
    let message = "there is no template of this name to replace".to_owned();
    Some(error(file, 1, "template-unknown", message, hint))
}

/// What the templates are rendered for: nodes and environments from all of the fleet.
fn pictures(commit: &Commit<'_>) -> Vec<(JobType, JobPayload)> {
    let fleet = (commit.spec)(&ResourceId::Fleet);
    let Some(fleet) = fleet.and_then(|spec| Fleet::from_spec(&spec).ok()) else {
        return Vec::new();
    };
    let is_node = |id: &&ResourceId| matches!(id, ResourceId::Node(_));
    let is_environment = |id: &&ResourceId| matches!(id, ResourceId::Env { .. });
    let nodes = spread(commit.ids.iter().filter(is_node).collect());
    let environments = spread(commit.ids.iter().filter(is_environment).collect());
    let node_payload = |id: &ResourceId| {
        let node = Node::from_spec(&(commit.spec)(id)?).ok()?;
        Some((JobType::NodeProvision, payload(&fleet, node, None, None)))
    };
    let environment_payload = |id: &ResourceId| {
        let env = Environment::from_spec(&(commit.spec)(id)?).ok()?;
        let site = ResourceId::Site(id.site()?.to_owned());
        let site = Site::from_spec(&(commit.spec)(&site)?).ok()?;
        let node = env.node.as_ref().unwrap_or(&site.node).to_string();
        let node = Node::from_spec(&(commit.spec)(&ResourceId::Node(node))?).ok()?;
        let payload = payload(&fleet, node, Some(site), Some(env));
        Some((JobType::EnvConfigure, payload))
    };
    let nodes = nodes.into_iter().filter_map(node_payload);
    nodes
        .chain(environments.into_iter().filter_map(environment_payload))
        .collect()
}

/// At most so many of them, from the first to the last.
fn spread(all: Vec<&ResourceId>) -> Vec<&ResourceId> {
    let step = all.len().div_ceil(MOST).max(1);
    all.into_iter().step_by(step).collect()
}

fn payload(fleet: &Fleet, node: Node, site: Option<Site>, env: Option<Environment>) -> JobPayload {
    JobPayload {
        fleet: fleet.clone(),
        node,
        site,
        env,
        source_env: None,
        effects: Vec::new(),
        templates: BTreeMap::new(),
        secrets: Vec::new(),
        repo_secrets: BTreeMap::new(),
    }
}

/// A machine as there are many.
fn facts() -> NodeFacts {
    NodeFacts {
        distribution: "debian".to_owned(),
        version: "12".to_owned(),
        codename: "bookworm".to_owned(),
        architecture: "amd64".to_owned(),
        kernel: "6.1.0".to_owned(),
        memory_bytes: 4 << 30,
        cpus: 2,
        machine_id: "0".repeat(32),
        hostname: "node".to_owned(),
        python: "3.11.2".to_owned(),
        control_address: Some("203.0.113.1".to_owned()),
        ipv4: vec!["203.0.113.10".to_owned()],
        ipv6: Vec::new(),
        virtualization: Some("kvm".to_owned()),
        systemd: true,
        disk_free_bytes: 16 << 30,
    }
}
