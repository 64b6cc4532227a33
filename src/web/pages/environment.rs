//! `/sites/{site}/environments/{name}`

use axum::extract::{Path, State};
use axum::response::Response;
use jiff::Timestamp;
use serde::Serialize;

use super::super::api::resources::environment_detail;
use super::super::auth::Viewer;
use super::super::error::{Failure, Result};
use super::super::standings::Seen;
use super::super::state::App;
use super::Heading;
use super::looks::{self, LookLine};
use super::parts::{Field, Link, Revision, Row, Stand, fields, rows};
use super::revisions::author;
use super::text::first_line;
use super::when::When;
use crate::clock;
use crate::core::id::ResourceId;
use crate::store::{JobFilter, Store};

#[derive(Debug, Serialize)]
struct Page {
    stand: Option<Stand>,
    site: Link,
    name: String,
    kind: String,
    node: Option<Link>,
    protect: bool,
    source: Option<String>,
    commit: Option<Commit>,
    /// Where it answers without a domain of its own.
    url: Option<String>,
    domains: Vec<Domain>,
    releases: Vec<Release>,
    looks: Vec<LookLine>,
    jobs: Vec<Row>,
    fields: Vec<Field>,
}

#[derive(Debug, Serialize)]
struct Commit {
    revision: Revision,
    message: Option<String>,
    author: Option<String>,
    committed: Option<When>,
}

#[derive(Debug, Serialize)]
struct Domain {
    name: String,
    primary: bool,
    tls: &'static str,
    expires: Option<When>,
}

#[derive(Debug, Serialize)]
struct Release {
    name: String,
    code_ref: Option<String>,
    wordpress: Option<String>,
    health: &'static str,
    active: bool,
    created: When,
}

pub(in crate::web) async fn show(
    viewer: Viewer,
    State(app): State<App>,
    Path((site, name)): Path<(String, String)>,
) -> Result<Response> {
    let now = clock::now();
    let seen = app.standings.now().await?;
    let id = ResourceId::env(&site, &name);
    let title = id.to_string();
    let page = app.pool.read(move |store| page(store, &seen, &id, now));
    let heading = Heading {
        title: &title,
        section: "fleet",
    };
    app.pages
        .show("environment.html", heading, &viewer, page.await?)
}

fn page(store: &Store, seen: &Seen, id: &ResourceId, now: Timestamp) -> Result<Page> {
    let standing = seen.all.get(id);
    let stand = standing.map(|standing| Stand::new(standing, now));
    let recorded = store.is_recorded(id)?;
    if stand.is_none() && !recorded {
        return Err(Failure::not_found("environment"));
    }
    let detail = recorded
        .then(|| environment_detail(store, id))
        .transpose()?;
    let filter = JobFilter {
        resource: Some(id.clone()),
        limit: 10,
        ..JobFilter::default()
    };
    let site = ResourceId::Site(id.site().unwrap_or_default().to_owned());
    let mut page = Page {
        stand,
        site: Link::to(&site),
        name: super::parts::name(id),
        kind: String::new(),
        node: standing
            .and_then(|standing| standing.node.clone())
            .map(|node| Link::to(&ResourceId::Node(node))),
        protect: false,
        source: None,
        commit: None,
        url: None,
        domains: Vec::new(),
        releases: Vec::new(),
        looks: looks::lines(&store.looks(id)?, now),
        jobs: rows(&store.jobs(&filter)?.jobs, now),
        fields: Vec::new(),
    };
    let Some(detail) = detail else {
        return Ok(page);
    };
    let resource = detail.resource;
    page.kind = resource
        .spec
        .get("type")
        .and_then(|kind| kind.as_str())
        .unwrap_or_default()
        .to_owned();
    page.protect = resource.protect;
    page.source = Some(format!("{}:{}", resource.source.file, resource.source.line));
    page.commit = detail.commit.map(|commit| Commit {
        revision: Revision::new(&commit.id),
        message: commit.message.as_deref().map(first_line),
        author: commit.author.as_deref().map(author),
        committed: When::option(commit.committed_at, now),
    });
    page.url = detail.url;
    page.domains = detail
        .domains
        .into_iter()
        .map(|domain| Domain {
            name: domain.name,
            primary: domain.primary,
            tls: domain.tls.as_str(),
            expires: When::option(domain.expires_at, now),
        })
        .collect();
    page.releases = detail
        .releases
        .into_iter()
        .map(|release| Release {
            name: release.name,
            code_ref: release.code_ref,
            wordpress: release.wordpress_version,
            health: release.health.as_str(),
            active: release.active,
            created: When::new(release.created_at, now),
        })
        .collect();
    page.fields = fields(&resource.spec);
    Ok(page)
}
