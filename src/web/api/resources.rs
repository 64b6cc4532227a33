//! `/api/nodes`, `/api/sites`, `/api/environments`

use axum::extract::{Path, State};
use axum::response::Response;
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Map, Value};

use super::super::auth::Viewer;
use super::super::error::{Failure, Result};
use super::super::reply;
use super::super::standings::Seen;
use super::super::state::App;
use super::page::{Asked, Page, Paging};
use crate::core::condition::{Condition, ConditionSince};
use crate::core::facts::NodeFacts;
use crate::core::id::{ResourceId, ResourceKind};
use crate::core::recorded::{RecordedResource, ResourceStatus, Source};
use crate::store::{Domain, HostKey, Job, Looks, Release, Revision, Store};

/// What is recorded of one node, site or environment.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub(in crate::web) struct Resource {
    pub(in crate::web) id: ResourceId,
    pub(in crate::web) kind: ResourceKind,
    pub(in crate::web) status: ResourceStatus,
    /// How it stands against what is asked for.
    pub(in crate::web) condition: Option<Condition>,
    /// All that holds of it, the most urgent first; `condition` is the first.
    pub(in crate::web) conditions: Vec<ConditionSince>,
    /// Since when it stands so.
    pub(in crate::web) condition_since: Option<Timestamp>,
    /// The revision that first asked for the form that is wanted now.
    pub(in crate::web) desired_revision: Option<String>,
    /// The revision that the last job for it began to carry out.
    pub(in crate::web) attempted_revision: Option<String>,
    /// The revision that it was last brought to.
    pub(in crate::web) revision: String,
    /// The node that it is on.
    pub(in crate::web) node: Option<String>,
    /// How often its spec was recorded.
    pub(in crate::web) generation: u64,
    pub(in crate::web) protect: bool,
    /// Where it is written in the fleet repo.
    pub(in crate::web) source: Source,
    pub(in crate::web) created_at: Timestamp,
    pub(in crate::web) updated_at: Timestamp,
    /// The recorded fields; a secret is only a reference.
    pub(in crate::web) spec: Map<String, Value>,
}

/// A node with what it said about itself.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub(in crate::web) struct NodeDetail {
    #[serde(flatten)]
    pub(in crate::web) resource: Resource,
    pub(in crate::web) facts: Option<NodeFacts>,
    pub(in crate::web) host_keys: Vec<HostKey>,
    /// Since when it does not answer, if it does not.
    pub(in crate::web) unreachable_since: Option<Timestamp>,
    pub(in crate::web) last_job: Option<Job>,
    /// What looks at it found, by type.
    pub(in crate::web) looks: Vec<Looks>,
}

/// A site with its newest job.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub(in crate::web) struct SiteDetail {
    #[serde(flatten)]
    pub(in crate::web) resource: Resource,
    pub(in crate::web) last_job: Option<Job>,
}

/// An environment with its names and releases.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub(in crate::web) struct EnvironmentDetail {
    #[serde(flatten)]
    pub(in crate::web) resource: Resource,
    /// Where it answers without a domain of its own; none while its node's address is unknown.
    pub(in crate::web) url: Option<String>,
    pub(in crate::web) domains: Vec<Domain>,
    pub(in crate::web) releases: Vec<Release>,
    /// The commit that it was last brought to.
    pub(in crate::web) commit: Option<Revision>,
    pub(in crate::web) last_job: Option<Job>,
    /// What looks at it found, by type.
    pub(in crate::web) looks: Vec<Looks>,
}

impl From<RecordedResource> for Resource {
    fn from(recorded: RecordedResource) -> Self {
        Self {
            kind: recorded.id.kind(),
            condition: None,
            conditions: Vec::new(),
            condition_since: None,
            desired_revision: None,
            attempted_revision: None,
            id: recorded.id,
            status: recorded.status,
            revision: recorded.revision,
            node: recorded.node,
            generation: recorded.generation,
            protect: recorded.protect,
            source: recorded.source,
            created_at: recorded.created_at,
            updated_at: recorded.updated_at,
            spec: recorded.spec.into_fields(),
        }
    }
}

impl Resource {
    /// The same with how it stands.
    #[must_use]
    pub(in crate::web) fn with_standing(mut self, seen: &Seen) -> Self {
        if let Some(standing) = seen.all.get(&self.id) {
            self.condition = Some(standing.condition.clone());
            self.conditions = standing.conditions();
            self.condition_since = Some(standing.changed_at);
            self.desired_revision.clone_from(&standing.desired_revision);
            self.attempted_revision
                .clone_from(&standing.attempted_revision);
        }
        self
    }
}

pub(in crate::web) async fn nodes(
    _: Viewer,
    State(app): State<App>,
    Asked(paging): Asked<Paging>,
) -> Result<Response> {
    let seen = app.standings.now().await?;
    let page = app.pool.read(move |store| page_of_nodes(store, &paging));
    reply::json(&page.await?.map(|one| one.with_standing(&seen)))
}

pub(in crate::web) async fn sites(
    _: Viewer,
    State(app): State<App>,
    Asked(paging): Asked<Paging>,
) -> Result<Response> {
    let seen = app.standings.now().await?;
    let page = app
        .pool
        .read(move |store| of_kind(store, ResourceKind::Site, "sites", &paging));
    reply::json(&page.await?.map(|one| one.with_standing(&seen)))
}

pub(in crate::web) async fn environments(
    _: Viewer,
    State(app): State<App>,
    Path(id): Path<String>,
    Asked(paging): Asked<Paging>,
) -> Result<Response> {
    let id = site_id(&id)?;
    let seen = app.standings.now().await?;
    let page = app.pool.read(move |store| {
        if !store.is_recorded(&id)? {
            return Err(Failure::not_found("site"));
        }
        let site = id.site().unwrap_or_default();
        let limit = paging.limit()?;
        let after = paging.after("environments")?.unwrap_or_default();
        let found = store.environments_of(site, &after, limit + 1)?;
        Ok(Page::of(found, limit, "environments", |one| one.id.to_string()).map(Resource::from))
    });
    reply::json(&page.await?.map(|one| one.with_standing(&seen)))
}

pub(in crate::web) async fn node(
    _: Viewer,
    State(app): State<App>,
    Path(id): Path<String>,
) -> Result<Response> {
    let name = named("node", &id)?;
    let seen = app.standings.now().await?;
    let mut found = app
        .pool
        .read(move |store| node_detail(store, &name))
        .await?;
    found.resource = found.resource.with_standing(&seen);
    reply::json(&found)
}

pub(in crate::web) async fn site(
    _: Viewer,
    State(app): State<App>,
    Path(id): Path<String>,
) -> Result<Response> {
    let id = site_id(&id)?;
    let seen = app.standings.now().await?;
    let found = app.pool.read(move |store| {
        Ok(SiteDetail {
            resource: require(store, &id, "site")?.with_standing(&seen),
            last_job: store.last_job(&id)?,
        })
    });
    reply::json(&found.await?)
}

pub(in crate::web) async fn environment(
    _: Viewer,
    State(app): State<App>,
    Path(id): Path<String>,
) -> Result<Response> {
    let id = environment_id(&id)?;
    let seen = app.standings.now().await?;
    let found = app.pool.read(move |store| environment_detail(store, &id));
    let mut found = found.await?;
    found.resource = found.resource.with_standing(&seen);
    reply::json(&found)
}

/// A node, an environment's id or a site's: `acme`, or with its kind in front.
fn named(kind: &str, text: &str) -> Result<String> {
    let name = text
        .strip_prefix(kind)
        .and_then(|rest| rest.strip_prefix('/'))
        .unwrap_or(text);
    if name.is_empty() || name.contains('/') || name.len() > 255 {
        return Err(Failure::bad_request(format!("write the name of a {kind}")));
    }
    Ok(name.to_owned())
}

fn site_id(text: &str) -> Result<ResourceId> {
    named("site", text).map(ResourceId::Site)
}

/// `env/acme/production`, or without its kind.
fn environment_id(text: &str) -> Result<ResourceId> {
    let full = if text.starts_with("env/") && text.matches('/').count() == 2 {
        text.to_owned()
    } else {
        format!("env/{text}")
    };
    full.parse()
        .ok()
        .filter(|id: &ResourceId| id.kind() == ResourceKind::Env && full.len() <= 255)
        .ok_or_else(|| Failure::not_found("environment; its id is `env/SITE/NAME`"))
}

fn require(store: &Store, id: &ResourceId, what: &'static str) -> Result<Resource> {
    store
        .recorded(id)?
        .map(Resource::from)
        .ok_or_else(|| Failure::not_found(what))
}

fn of_kind(
    store: &Store,
    kind: ResourceKind,
    list: &str,
    paging: &Paging,
) -> Result<Page<Resource>> {
    let limit = paging.limit()?;
    let after = paging.after(list)?.unwrap_or_default();
    let found = store.resources_after(kind, &after, limit + 1)?;
    Ok(Page::of(found, limit, list, |one| one.id.to_string()).map(Resource::from))
}

/// A page of nodes. One that jobs wait for does not answer, whatever a job made of it before.
pub(in crate::web) fn page_of_nodes(store: &Store, paging: &Paging) -> Result<Page<Resource>> {
    let mut page = of_kind(store, ResourceKind::Node, "nodes", paging)?;
    for away in store.unreachable_nodes()? {
        let id = ResourceId::Node(away.node);
        for node in &mut page.items {
            if node.id == id && !away.answers {
                node.status = ResourceStatus::Unreachable;
            }
        }
    }
    Ok(page)
}

/// All that is recorded of the node `name`.
pub(in crate::web) fn node_detail(store: &Store, name: &str) -> Result<NodeDetail> {
    let id = ResourceId::Node(name.to_owned());
    let mut resource = require(store, &id, "node")?;
    let away = store
        .unreachable_nodes()?
        .into_iter()
        .find(|away| away.node == name && !away.answers);
    if away.is_some() {
        resource.status = ResourceStatus::Unreachable;
    }
    Ok(NodeDetail {
        resource,
        facts: store.node_facts(name)?,
        host_keys: store.host_keys(name)?,
        unreachable_since: away.map(|away| away.since),
        last_job: store.last_job(&id)?,
        looks: store.looks(&id)?,
    })
}

/// All that is recorded of the environment `id`.
pub(in crate::web) fn environment_detail(
    store: &Store,
    id: &ResourceId,
) -> Result<EnvironmentDetail> {
    let resource = require(store, id, "environment")?;
    Ok(EnvironmentDetail {
        url: store.preview_url(id, resource.node.as_deref())?,
        domains: store.domains(id)?,
        releases: store.releases(id)?,
        commit: store.revision(&resource.revision)?,
        last_job: store.last_job(id)?,
        looks: store.looks(id)?,
        resource,
    })
}
