//! `/`: the whole fleet at a glance.

use std::collections::BTreeMap;

use axum::extract::State;
use axum::response::Response;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::super::api::page::Asked;
use super::super::api::totals::{self, Totals};
use super::super::auth::Viewer;
use super::super::error::Result;
use super::super::standings::Seen;
use super::super::state::App;
use super::Heading;
use super::parts::{Link, Row, Stand, name, rows, wants_attention};
use super::revisions::{Line, newest};
use crate::clock;
use crate::core::condition::{Condition, ConditionKind, Standing};
use crate::core::history::readable_size;
use crate::core::id::ResourceId;
use crate::core::job::JobStatus;
use crate::store::{HistorySize, JobFilter, Store};

/// Nodes of one page of the map.
const NODES: usize = 60;
/// Sites of one node that the map shows.
const SITES: usize = 120;
/// Lines of each list.
const LINES: u32 = 8;

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(in crate::web) struct Wanted {
    /// The last node of the page before.
    after: String,
}

#[derive(Debug, Serialize)]
struct Overview {
    figures: Vec<Figure>,
    notices: Vec<Notice>,
    running: Vec<Row>,
    running_more: bool,
    waiting: Vec<Row>,
    attention: Vec<Stand>,
    attention_more: usize,
    nodes: Vec<Node>,
    /// Leads to more nodes.
    next: Option<String>,
    revisions: Vec<Line>,
    /// What the past takes, in short pieces.
    history: Vec<(&'static str, String)>,
    is_empty: bool,
}

/// What keeps the process from its work.
#[derive(Debug, Serialize)]
struct Notice {
    text: String,
    /// Where there is more about it.
    href: Option<&'static str>,
}

/// A number with its name.
#[derive(Debug, Serialize)]
struct Figure {
    name: &'static str,
    value: String,
    /// The word of the colour that it has.
    tone: &'static str,
    href: &'static str,
}

/// A node and what is on it.
#[derive(Debug, Serialize)]
struct Node {
    link: Link,
    name: String,
    /// None where only its sites are known.
    stand: Option<Stand>,
    sites: Vec<Site>,
    more: usize,
}

#[derive(Debug, Serialize)]
struct Site {
    link: Link,
    name: String,
    word: &'static str,
    cells: Vec<Cell>,
}

/// One environment in the map.
#[derive(Debug, Serialize)]
struct Cell {
    link: Link,
    name: String,
    word: &'static str,
    /// The code of what is wrong, if something is.
    code: Option<String>,
}

pub(in crate::web) async fn show(
    viewer: Viewer,
    State(app): State<App>,
    Asked(wanted): Asked<Wanted>,
) -> Result<Response> {
    let now = clock::now();
    let seen = app.standings.now().await?;
    let mut notices: Vec<Notice> = (app.ready)()
        .into_iter()
        .map(|reason| Notice {
            text: reason.reason,
            href: reason.is_of_revision.then_some("/revisions"),
        })
        .collect();
    let page = app.pool.read(move |store| {
        let totals = totals::read(store, now)?;
        if let Some(pause) = &totals.paused {
            let since = pause.since.strftime("%Y-%m-%d %H:%M UTC");
            notices.push(Notice {
                text: format!("no job starts since {since}: {}", pause.reason),
                href: None,
            });
        }
        overview(store, &seen, &totals, notices, &wanted.after, now)
    });
    let heading = Heading {
        title: "Fleet",
        section: "fleet",
    };
    app.pages
        .show("overview.html", heading, &viewer, page.await?)
}

fn overview(
    store: &Store,
    seen: &Seen,
    totals: &Totals,
    notices: Vec<Notice>,
    after: &str,
    now: Timestamp,
) -> Result<Overview> {
    let in_status = |status, limit| {
        store.jobs(&JobFilter {
            status: Some(status),
            limit,
            ..JobFilter::default()
        })
    };
    let running = in_status(JobStatus::Running, LINES)?;
    let waiting = in_status(JobStatus::Queued, LINES)?.jobs;
    let mut urgent: Vec<&Standing> = seen
        .all
        .values()
        .filter(|standing| wants_attention(standing.condition.kind()))
        .collect();
    urgent.sort_by_key(|standing| {
        (
            standing.condition.kind(),
            std::cmp::Reverse(standing.changed_at),
        )
    });
    let shown = 12;
    let (nodes, next) = map(seen, after, now);
    Ok(Overview {
        figures: figures(seen, totals),
        notices,
        running_more: running.cursor.is_some(),
        running: rows(&running.jobs, now),
        waiting: rows(&waiting, now),
        attention_more: urgent.len().saturating_sub(shown),
        attention: urgent
            .into_iter()
            .take(shown)
            .map(|standing| Stand::new(standing, now))
            .collect(),
        is_empty: nodes.is_empty() && after.is_empty(),
        nodes,
        next,
        revisions: newest(store, 6, now)?,
        history: history(&totals.history),
    })
}

/// How much of the past there is, and how it grows.
fn history(size: &HistorySize) -> Vec<(&'static str, String)> {
    let mut pieces = vec![
        ("database", readable_size(size.bytes)),
        ("free in it", readable_size(size.free)),
        ("jobs", size.jobs.to_string()),
        ("looks", size.looks.to_string()),
        ("audit entries", size.audit_entries.to_string()),
    ];
    if size.segments > 0 {
        let (count, bytes) = (size.segments, readable_size(size.segment_bytes));
        let text = format!("{} in {count} segments, {bytes}", size.closed_entries);
        pieces.push(("older entries", text));
    }
    if let Some(growth) = &size.growth {
        let more = growth.bytes + growth.segment_bytes;
        let sign = if more < 0 { "-" } else { "+" };
        let text = format!(
            "{sign}{} in {} d",
            readable_size(more.unsigned_abs()),
            growth.days
        );
        pieces.push(("growth", text));
    }
    pieces
}

fn figures(seen: &Seen, totals: &Totals) -> Vec<Figure> {
    let mut counts: BTreeMap<ConditionKind, u64> = BTreeMap::new();
    for ((_, kind), count) in seen.counts() {
        *counts.entry(kind).or_default() += count;
    }
    let count = |kind| counts.get(&kind).copied().unwrap_or_default();
    let figure = |name, number: u64, tone, href| Figure {
        name,
        value: number.to_string(),
        tone: if number == 0 { "none" } else { tone },
        href,
    };
    let wrong = count(ConditionKind::Failed) + count(ConditionKind::Stalled);
    vec![
        figure("ready", count(ConditionKind::Ready), "ready", "#map"),
        figure(
            "reconciling",
            count(ConditionKind::Reconciling),
            "reconciling",
            "/jobs?status=running",
        ),
        figure("failed or stalled", wrong, "failed", "#attention"),
        figure(
            "blocked",
            count(ConditionKind::Blocked),
            "blocked",
            "#attention",
        ),
        figure(
            "drifted",
            count(ConditionKind::Drifted),
            "drifted",
            "#attention",
        ),
        figure(
            "jobs running",
            totals.jobs_running,
            "reconciling",
            "/jobs?status=running",
        ),
        figure(
            "jobs queued",
            totals.jobs_queued,
            "queued",
            "/jobs?status=queued",
        ),
    ]
}

/// The nodes after `after` with what is on them, and the last of them when there are more.
fn map(seen: &Seen, after: &str, now: Timestamp) -> (Vec<Node>, Option<String>) {
    // Those on no node come last.
    let mut on: BTreeMap<(bool, &str), BTreeMap<&str, Vec<&Standing>>> = BTreeMap::new();
    for (id, standing) in &seen.all {
        match id {
            ResourceId::Fleet => {}
            ResourceId::Node(name) => {
                on.entry((false, name)).or_default();
            }
            ResourceId::Site(site) | ResourceId::Env { site, .. } => {
                let node = standing.node.as_deref().unwrap_or("");
                on.entry((node.is_empty(), node))
                    .or_default()
                    .entry(site)
                    .or_default()
                    .push(standing);
            }
        }
    }
    let mut nodes: Vec<Node> = on
        .into_iter()
        .filter(|((_, name), _)| after.is_empty() || name.is_empty() || *name > after)
        .take(NODES + 1)
        .map(|((_, name), sites)| node(seen, name, &sites, now))
        .collect();
    let more = nodes.len() > NODES;
    nodes.truncate(NODES);
    let next = nodes.last().filter(|_| more).map(|node| node.name.clone());
    (nodes, next)
}

fn node(seen: &Seen, name: &str, sites: &BTreeMap<&str, Vec<&Standing>>, now: Timestamp) -> Node {
    let id = ResourceId::Node(name.to_owned());
    Node {
        link: Link {
            href: Link::to(&id).href.filter(|_| !name.is_empty()),
            ..Link::to(&id)
        },
        name: name.to_owned(),
        stand: seen.all.get(&id).map(|standing| Stand::new(standing, now)),
        more: sites.len().saturating_sub(SITES),
        sites: sites
            .iter()
            .take(SITES)
            .map(|(site, standings)| self::site(seen, site, standings))
            .collect(),
    }
}

fn site(seen: &Seen, site: &str, standings: &[&Standing]) -> Site {
    let id = ResourceId::Site(site.to_owned());
    let word = seen
        .all
        .get(&id)
        .map_or(ConditionKind::Ready, |own| own.condition.kind());
    Site {
        link: Link::to(&id),
        name: site.to_owned(),
        word: word.as_str(),
        cells: standings
            .iter()
            .filter(|standing| standing.id != id)
            .map(|standing| Cell {
                link: Link::to(&standing.id),
                name: name(&standing.id),
                word: standing.condition.kind().as_str(),
                code: code(&standing.condition),
            })
            .collect(),
    }
}

fn code(condition: &Condition) -> Option<String> {
    condition.code().map(str::to_owned)
}
