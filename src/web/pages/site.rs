//! `/sites/{name}`

use axum::extract::{Path, State};
use axum::response::Response;
use jiff::Timestamp;
use serde::Serialize;

use super::super::auth::Viewer;
use super::super::error::{Failure, Result};
use super::super::standings::Seen;
use super::super::state::App;
use super::Heading;
use super::parts::{Field, Link, Row, Stand, fields, rows};
use super::text::plain;
use crate::clock;
use crate::core::id::ResourceId;
use crate::store::{JobFilter, Store};

#[derive(Debug, Serialize)]
struct Page {
    stand: Option<Stand>,
    name: String,
    title: Option<String>,
    node: Option<Link>,
    protect: bool,
    source: Option<String>,
    environments: Vec<Environment>,
    jobs: Vec<Row>,
    fields: Vec<Field>,
}

#[derive(Debug, Serialize)]
struct Environment {
    stand: Stand,
    kind: String,
    domains: Vec<String>,
}

pub(in crate::web) async fn show(
    viewer: Viewer,
    State(app): State<App>,
    Path(name): Path<String>,
) -> Result<Response> {
    let now = clock::now();
    let seen = app.standings.now().await?;
    let page = app.pool.read(move |store| page(store, &seen, &name, now));
    let page = page.await?;
    let title = format!("site/{}", page.name);
    let heading = Heading {
        title: &title,
        section: "fleet",
    };
    app.pages.show("site.html", heading, &viewer, page)
}

fn page(store: &Store, seen: &Seen, name: &str, now: Timestamp) -> Result<Page> {
    let id = ResourceId::Site(name.to_owned());
    let stand = seen.all.get(&id).map(|standing| Stand::new(standing, now));
    let recorded = store.recorded(&id)?;
    if stand.is_none() && recorded.is_none() {
        return Err(Failure::not_found("site"));
    }
    let first = ResourceId::env(name, "");
    let of_site = seen
        .all
        .range(first..)
        .take_while(|(id, _)| id.site() == Some(name));
    let mut environments = Vec::new();
    for (id, standing) in of_site {
        let recorded = store.recorded(id)?;
        environments.push(Environment {
            stand: Stand::new(standing, now),
            kind: recorded
                .and_then(|recorded| recorded.spec.str("type").map(str::to_owned))
                .unwrap_or_default(),
            domains: store
                .domains(id)?
                .into_iter()
                .map(|domain| domain.name)
                .collect(),
        });
    }
    let filter = JobFilter {
        site: Some(name.to_owned()),
        limit: 10,
        ..JobFilter::default()
    };
    let node = recorded.as_ref().and_then(|recorded| recorded.node.clone());
    Ok(Page {
        stand,
        name: name.to_owned(),
        title: recorded
            .as_ref()
            .and_then(|recorded| recorded.spec.str("title").map(plain)),
        node: node.map(|node| Link::to(&ResourceId::Node(node))),
        protect: recorded.as_ref().is_some_and(|recorded| recorded.protect),
        source: recorded
            .as_ref()
            .map(|recorded| format!("{}:{}", recorded.source.file, recorded.source.line)),
        environments,
        jobs: rows(&store.jobs(&filter)?.jobs, now),
        fields: recorded.map_or_else(Vec::new, |recorded| fields(recorded.spec.fields())),
    })
}
