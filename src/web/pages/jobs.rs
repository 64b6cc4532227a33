//! `/jobs`: what runs, waits and has ended.

use axum::extract::State;
use axum::response::Response;
use serde::Serialize;

use super::super::api::jobs::{Wanted, read};
use super::super::api::page::Asked;
use super::super::auth::Viewer;
use super::super::error::Result;
use super::super::state::App;
use super::Heading;
use super::parts::{Row, rows};
use crate::clock;
use crate::core::job::JobStatus;

#[derive(Debug, Serialize)]
struct Jobs {
    tabs: Vec<Tab>,
    rows: Vec<Row>,
    next: Option<String>,
    /// What narrows the list besides its status.
    only: Option<String>,
}

#[derive(Debug, Serialize)]
struct Tab {
    name: &'static str,
    href: String,
    count: Option<u64>,
    is_current: bool,
}

pub(in crate::web) async fn list(
    viewer: Viewer,
    State(app): State<App>,
    Asked(wanted): Asked<Wanted>,
) -> Result<Response> {
    let now = clock::now();
    let filter = wanted.filter()?;
    let page = app.pool.read(move |store| {
        let page = read(store, &filter)?;
        let totals = store.job_totals()?;
        let count = |status| {
            totals
                .iter()
                .filter(|(known, ..)| *known == status)
                .map(|(.., jobs)| jobs)
                .sum()
        };
        let only = filter
            .resource
            .as_ref()
            .map(ToString::to_string)
            .or_else(|| filter.site.as_ref().map(|site| format!("site/{site}")))
            .or_else(|| filter.node.as_ref().map(|node| format!("node/{node}")));
        let rest = narrowed(&wanted);
        let mut tabs = vec![Tab {
            name: "all",
            href: format!("/jobs?{rest}"),
            count: None,
            is_current: filter.status.is_none(),
        }];
        for status in JobStatus::ALL {
            let jobs: u64 = count(*status);
            // Nobody looks for it where there is none.
            if *status == JobStatus::Unknown && jobs == 0 {
                continue;
            }
            tabs.push(Tab {
                name: status.as_str(),
                href: format!("/jobs?status={status}&{rest}"),
                count: only.is_none().then_some(jobs),
                is_current: filter.status == Some(*status),
            });
        }
        let status = filter.status.map(|status| format!("status={status}&"));
        Ok(Jobs {
            tabs,
            rows: rows(&page.items, now),
            next: page
                .cursor
                .map(|cursor| format!("/jobs?{}{rest}cursor={cursor}", status.unwrap_or_default())),
            only,
        })
    });
    let heading = Heading {
        title: "Jobs",
        section: "jobs",
    };
    app.pages.show("jobs.html", heading, &viewer, page.await?)
}

/// What narrows the list besides status and place, as it is written in a query. Names of the
/// fleet hold nothing that would have to be escaped; what does is left out.
fn narrowed(wanted: &Wanted) -> String {
    let is_plain = |text: &&String| {
        text.bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"/-_.".contains(&byte))
    };
    [
        ("resource", &wanted.resource),
        ("node", &wanted.node),
        ("site", &wanted.site),
    ]
    .into_iter()
    .filter_map(|(name, value)| {
        let value = value.as_ref().filter(is_plain)?;
        (!value.is_empty()).then(|| format!("{name}={value}&"))
    })
    .collect()
}
