//! `/api/jobs`

use axum::extract::{Path, State};
use axum::response::Response;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::super::auth::Viewer;
use super::super::error::{Failure, Result};
use super::super::reply;
use super::super::state::App;
use super::page::{Asked, Page, Paging, cursor, value};
use crate::core::change::Change;
use crate::core::id::ResourceId;
use crate::core::job::JobStatus;
use crate::core::recorded::{JobId, PlanId};
use crate::store::{Attempt, Job, JobFilter, Store};

/// Which jobs are wanted.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default)]
pub(in crate::web) struct Wanted {
    /// Only jobs in this status.
    #[schemars(with = "JobStatus")]
    pub(in crate::web) status: Option<String>,
    /// Only jobs of this resource, such as `env/acme/production`.
    #[schemars(with = "ResourceId")]
    pub(in crate::web) resource: Option<String>,
    /// Only jobs on this node.
    #[schemars(with = "String")]
    pub(in crate::web) node: Option<String>,
    /// Only jobs of this site and its environments.
    #[schemars(with = "String")]
    pub(in crate::web) site: Option<String>,
    /// Only jobs of this plan.
    #[schemars(with = "PlanId")]
    pub(in crate::web) plan: Option<String>,
    /// Items of the page, 50 where nothing is said.
    #[schemars(with = "u32", range(min = 1, max = 200))]
    pub(in crate::web) limit: Option<String>,
    /// Where the page begins: `cursor` of the page before.
    #[schemars(with = "String")]
    pub(in crate::web) cursor: Option<String>,
}

/// One job with what it carries out and how it was tried.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub(in crate::web) struct JobDetail {
    #[serde(flatten)]
    pub(in crate::web) job: Job,
    /// What it changes, secrets as `(sensitive)`.
    #[schemars(with = "Vec<serde_json::Map<String, serde_json::Value>>")]
    pub(in crate::web) changes: Vec<Change>,
    /// Jobs that have to succeed first.
    pub(in crate::web) after: Vec<JobId>,
    pub(in crate::web) attempts: Vec<Attempt>,
}

impl Wanted {
    /// The same as the store asks for it.
    pub(in crate::web) fn filter(&self) -> Result<JobFilter> {
        let paging = Paging {
            limit: self.limit.clone(),
            cursor: self.cursor.clone(),
        };
        let name = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
        Ok(JobFilter {
            status: value("status", self.status.as_deref())?,
            resource: value("resource", self.resource.as_deref())?,
            node: name(&self.node),
            site: name(&self.site),
            plan: value("plan", self.plan.as_deref())?,
            cursor: paging.after_number("jobs")?,
            limit: paging.limit()?,
        })
    }
}

pub(in crate::web) async fn list(
    _: Viewer,
    State(app): State<App>,
    Asked(wanted): Asked<Wanted>,
) -> Result<Response> {
    let filter = wanted.filter()?;
    let page = app.pool.read(move |store| read(store, &filter)).await?;
    reply::json(&page)
}

/// A page of jobs.
pub(in crate::web) fn read(store: &Store, filter: &JobFilter) -> Result<Page<Job>> {
    let page = store.jobs(filter)?;
    Ok(Page {
        items: page.jobs,
        cursor: page.cursor.map(|place| cursor("jobs", place)),
    })
}

pub(in crate::web) async fn one(
    _: Viewer,
    State(app): State<App>,
    Path(id): Path<String>,
) -> Result<Response> {
    let id = parse_id(&id)?;
    let job = app.pool.read(move |store| detail(store, id)).await?;
    reply::json(&job)
}

/// The id of a job in a path.
pub(in crate::web) fn parse_id(text: &str) -> Result<JobId> {
    text.parse()
        .map_err(|_| Failure::bad_request("the id of a job is a UUID"))
}

/// All that is known of one job but its tasks.
pub(in crate::web) fn detail(store: &Store, id: JobId) -> Result<JobDetail> {
    let job = store.job(id)?.ok_or_else(|| Failure::not_found("job"))?;
    Ok(JobDetail {
        changes: store.job_changes(id)?,
        after: store.job_dependencies(id)?,
        attempts: store.attempts(id)?,
        job,
    })
}
