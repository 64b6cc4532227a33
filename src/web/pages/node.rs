//! `/nodes/{name}`

use axum::extract::{Path, State};
use axum::response::Response;
use jiff::Timestamp;
use serde::Serialize;

use super::super::api::resources::{NodeDetail, node_detail};
use super::super::auth::Viewer;
use super::super::error::{Failure, Result};
use super::super::standings::Seen;
use super::super::state::App;
use super::Heading;
use super::looks::{self, LookLine};
use super::parts::{Field, Row, Stand, fields, rows};
use super::when::When;
use crate::clock;
use crate::core::facts::NodeFacts;
use crate::core::id::ResourceId;
use crate::store::{JobFilter, Store};

/// Resources on a node that its page lists.
const MOST: usize = 500;

#[derive(Debug, Serialize)]
struct Page {
    stand: Option<Stand>,
    name: String,
    source: Option<String>,
    unreachable_since: Option<When>,
    facts: Vec<(&'static str, String)>,
    host_keys: Vec<String>,
    on_it: Vec<Stand>,
    more: usize,
    looks: Vec<LookLine>,
    jobs: Vec<Row>,
    fields: Vec<Field>,
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
    let title = format!("node/{}", page.name);
    let heading = Heading {
        title: &title,
        section: "fleet",
    };
    app.pages.show("node.html", heading, &viewer, page)
}

fn page(store: &Store, seen: &Seen, name: &str, now: Timestamp) -> Result<Page> {
    let id = ResourceId::Node(name.to_owned());
    let stand = seen.all.get(&id).map(|standing| Stand::new(standing, now));
    let recorded = store.is_recorded(&id)?;
    if stand.is_none() && !recorded {
        return Err(Failure::not_found("node"));
    }
    let detail = recorded.then(|| node_detail(store, name)).transpose()?;
    let filter = JobFilter {
        node: Some(name.to_owned()),
        limit: 10,
        ..JobFilter::default()
    };
    let mut on_it: Vec<Stand> = seen
        .all
        .values()
        .filter(|standing| standing.id != id && standing.node.as_deref() == Some(name))
        .take(MOST + 1)
        .map(|standing| Stand::new(standing, now))
        .collect();
    let more = on_it.len().saturating_sub(MOST);
    on_it.truncate(MOST);
    Ok(Page {
        stand,
        name: name.to_owned(),
        looks: looks::lines(&store.looks(&id)?, now),
        jobs: rows(&store.jobs(&filter)?.jobs, now),
        on_it,
        more,
        source: detail.as_ref().map(source),
        unreachable_since: detail
            .as_ref()
            .and_then(|detail| When::option(detail.unreachable_since, now)),
        facts: detail
            .as_ref()
            .and_then(|detail| detail.facts.as_ref())
            .map(facts)
            .unwrap_or_default(),
        host_keys: detail.as_ref().map_or_else(Vec::new, |detail| {
            detail.host_keys.iter().map(|key| key.key.clone()).collect()
        }),
        fields: detail.map_or_else(Vec::new, |detail| fields(&detail.resource.spec)),
    })
}

fn source(detail: &NodeDetail) -> String {
    format!(
        "{}:{}",
        detail.resource.source.file, detail.resource.source.line
    )
}

fn facts(facts: &NodeFacts) -> Vec<(&'static str, String)> {
    let gib = |bytes: u64| format!("{:.1} GiB", bytes as f64 / f64::from(1 << 30));
    let mut addresses = facts.ipv4.clone();
    addresses.extend(facts.ipv6.iter().cloned());
    vec![
        (
            "system",
            format!(
                "{} {} ({})",
                facts.distribution, facts.version, facts.codename
            ),
        ),
        ("kernel", format!("{} {}", facts.kernel, facts.architecture)),
        (
            "machine",
            format!("{} CPUs, {} memory", facts.cpus, gib(facts.memory_bytes)),
        ),
        ("disk free", gib(facts.disk_free_bytes)),
        ("host name", facts.hostname.clone()),
        ("addresses", addresses.join(", ")),
    ]
}
