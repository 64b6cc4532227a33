//! `pressluft get`

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

use super::context::Context;
use super::error::CliError;
use super::exit::Exit;
use super::open;
use super::output::{self, Format};
use crate::clock;
use crate::core::condition::{Condition, Standing};
use crate::core::id::{ResourceId, ResourceKind};
use crate::core::recorded::{RecordedResource, ResourceStatus};
use crate::store::Store;

#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// What to list
    #[arg(value_enum)]
    kind: Kind,
    /// Form of the output
    #[arg(short, long, value_enum, default_value_t)]
    output: Format,
}

#[derive(clap::ValueEnum, Clone, Copy, Debug)]
enum Kind {
    #[value(alias = "node")]
    Nodes,
    #[value(alias = "site")]
    Sites,
    #[value(aliases = ["env", "environment", "environments"])]
    Envs,
}

pub(crate) fn run(args: &Args, context: &Context) -> Result<Exit, CliError> {
    let kind = match args.kind {
        Kind::Nodes => ResourceKind::Node,
        Kind::Sites => ResourceKind::Site,
        Kind::Envs => ResourceKind::Env,
    };
    let (resources, standings) = match open::if_there(context)? {
        Some(store) => {
            let standings = store.standings(clock::now())?.into_iter();
            (
                with_reach(&store, store.recorded_of_kind(kind)?)?,
                standings.map(|found| (found.id.clone(), found)).collect(),
            )
        }
        None => (Vec::new(), BTreeMap::new()),
    };
    let values: Vec<Value> = resources
        .iter()
        .map(|resource| element(resource, standings.get(&resource.id)))
        .collect();
    output::show(args.output, &values, |_| {
        let rows: Vec<_> = resources
            .iter()
            .map(|resource| {
                let text = |path: &str| resource.spec.str(path).unwrap_or("").to_owned();
                let revision = resource
                    .revision
                    .get(..12)
                    .unwrap_or(&resource.revision)
                    .to_owned();
                let condition = standings.get(&resource.id).map(|standing| {
                    let first = word(&standing.condition);
                    match standing.beside.len() {
                        0 => first,
                        more => format!("{first} +{more}"),
                    }
                });
                let mut row = vec![
                    resource.id.to_string(),
                    resource.status.to_string(),
                    condition.unwrap_or_default(),
                ];
                row.extend(match args.kind {
                    Kind::Nodes => vec![text("host"), text("state")],
                    Kind::Sites => vec![text("node"), text("title")],
                    Kind::Envs => {
                        vec![resource.node.clone().unwrap_or_default(), text("type")]
                    }
                });
                row.push(revision);
                row
            })
            .collect();
        let heading = match args.kind {
            Kind::Nodes => ["id", "status", "condition", "host", "state", "revision"],
            Kind::Sites => ["id", "status", "condition", "node", "title", "revision"],
            Kind::Envs => ["id", "status", "condition", "node", "type", "revision"],
        };
        output::table(context.width(), &heading, &rows)
    })?;
    Ok(Exit::Done)
}

/// A node that jobs wait for does not answer, whatever a job made of it before.
pub(super) fn with_reach(
    store: &Store,
    mut resources: Vec<RecordedResource>,
) -> Result<Vec<RecordedResource>, CliError> {
    let away: BTreeSet<ResourceId> = store
        .unreachable_nodes()?
        .into_iter()
        .filter(|node| !node.answers)
        .map(|node| ResourceId::Node(node.node))
        .collect();
    for resource in &mut resources {
        if away.contains(&resource.id) {
            resource.status = ResourceStatus::Unreachable;
        }
    }
    Ok(resources)
}

/// A condition in a word, with its code where it has one.
pub(super) fn word(condition: &Condition) -> String {
    match condition.code() {
        Some(code) => format!("{} ({code})", condition.kind()),
        None => condition.kind().to_string(),
    }
}

/// One element of the array: what is known of the resource, how it stands, and the recorded fields
/// in `spec`.
pub(super) fn element(resource: &RecordedResource, standing: Option<&Standing>) -> Value {
    let mut map = Map::new();
    map.insert("spec".to_owned(), json!(resource.spec));
    map.insert("node".to_owned(), json!(resource.node));
    map.insert("protect".to_owned(), json!(resource.protect));
    map.insert("id".to_owned(), json!(resource.id));
    map.insert("kind".to_owned(), json!(resource.id.kind()));
    map.insert("status".to_owned(), json!(resource.status));
    map.insert("revision".to_owned(), json!(resource.revision));
    map.insert("generation".to_owned(), json!(resource.generation));
    map.insert("updated_at".to_owned(), json!(resource.updated_at));
    if let Some(standing) = standing {
        map.extend(condition_fields(standing));
    }
    Value::Object(map)
}

/// What JSON says about how a resource stands.
pub(super) fn condition_fields(standing: &Standing) -> Map<String, Value> {
    let fields = [
        ("condition", json!(standing.condition)),
        ("conditions", json!(standing.conditions())),
        ("desired_revision", json!(standing.desired_revision)),
        ("attempted_revision", json!(standing.attempted_revision)),
        ("applied_revision", json!(standing.applied_revision)),
        ("changed_at", json!(standing.changed_at)),
    ];
    let named = fields.map(|(name, value)| (name.to_owned(), value));
    named.into_iter().collect()
}
