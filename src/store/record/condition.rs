//! How resources stand: the recorded facts that conditions follow from, for the whole fleet in one
//! go or for one resource.

use std::collections::{BTreeMap, BTreeSet};

use super::super::sql::{Connection, OptionalExtension, Row, params};
use jiff::Timestamp;

use super::super::Store;
use super::super::convert::{
    corrupt, digest, get, moment, moment_option, parse, parsed, parsed_option, timestamp,
};
use super::super::error::Result;
use super::drift::{IS_LOOKED_AT, differences};
use super::target::blocks;
use crate::core::condition::{
    Block, ConditionInputs, DriftFact, EndedJob, OpenJob, RecordedFact, Standing, Target, standing,
};
use crate::core::fingerprint::{self, Fingerprints};
use crate::core::id::ResourceId;
use crate::core::job::JobStatus;
use crate::core::recorded::ResourceStatus;
use crate::core::spec::SpecHash;

/// What a job has to say about the resources that it is for.
const JOB: &str = "jobs.id AS job_id, jobs.status AS job_status, jobs.revision AS job_revision, \
     jobs.node_id AS job_node, jobs.created_at AS job_created_at, \
     jobs.started_at AS job_started_at, jobs.finished_at AS job_finished_at, \
     jobs.error_code AS job_error_code, jobs.error_message AS job_error_message";

/// Ends that tell how a resource stands: not those of jobs that were overtaken before they began.
/// A look at a node tells by what it found.
const TELLING: &str = "(jobs.status = 'failed'
    OR (jobs.status = 'cancelled' AND jobs.started_at IS NOT NULL))
    AND jobs.job_type <> 'drift_check'";

impl Store {
    /// How every resource stands that is recorded or asked for, sorted by id.
    ///
    /// # Errors
    /// When the database fails or holds something that cannot be read.
    pub fn standings(&self, now: Timestamp) -> Result<Vec<Standing>> {
        // All statements see one moment.
        let moment = self.connection.unchecked_transaction()?;
        let facts = Collected::read(&moment, None)?;
        moment.commit()?;
        Ok(facts.standings(now))
    }

    /// How one resource stands, or none when it is neither recorded nor asked for.
    ///
    /// # Errors
    /// When the database fails or holds something that cannot be read.
    pub fn standing(&self, id: &ResourceId, now: Timestamp) -> Result<Option<Standing>> {
        let moment = self.connection.unchecked_transaction()?;
        let facts = Collected::read(&moment, Some(id))?;
        moment.commit()?;
        Ok(facts
            .standings(now)
            .into_iter()
            .find(|found| found.id == *id))
    }
}

/// The condition for one resource or for all. One that leaves both open would walk over all rows for
/// a single one.
fn narrowed(column: &str, only: Option<&str>) -> String {
    match only {
        Some(_) => format!("{column} = ?1"),
        None => "?1 IS NULL".to_owned(),
    }
}

/// The facts of some resources, before what they belong to is looked at.
#[derive(Default)]
struct Collected {
    facts: BTreeMap<ResourceId, ConditionInputs>,
    suspended: BTreeSet<ResourceId>,
    away: BTreeMap<String, Timestamp>,
    /// The nodes of jobs that have not ended, and of the last one where nothing is recorded.
    lanes: BTreeMap<ResourceId, String>,
}

impl Collected {
    fn read(connection: &Connection, only: Option<&ResourceId>) -> Result<Self> {
        let mut all = Self::default();
        // Its site says where an environment is made.
        let site = only.and_then(ResourceId::site);
        let site = site.map(|site| ResourceId::Site(site.to_owned()));
        let (only, site) = (
            only.map(ToString::to_string),
            site.map(|site| site.to_string()),
        );
        let read = [Some(only.as_deref()), site.as_deref().map(Some)];
        for one in read.into_iter().flatten() {
            all.recorded(connection, one)?;
            all.targets(connection, one)?;
            all.open_jobs(connection, one)?;
        }
        all.failures(connection)?;
        let mut suspended =
            connection.prepare_cached("SELECT id FROM resources WHERE suspended = 1")?;
        all.suspended = suspended
            .query_and_then([], |row| parsed(row, "id"))?
            .collect::<Result<_>>()?;
        let mut away = connection
            .prepare_cached("SELECT node, since FROM unreachable_nodes WHERE answers = 0")?;
        all.away = away
            .query_and_then([], |row| Ok((get(row, "node")?, moment(row, "since")?)))?
            .collect::<Result<_>>()?;
        let mut drifted = connection.prepare_cached(&format!(
            "SELECT resource, job, drifted_since, tasks, by_hand
             FROM drift INDEXED BY drift_found JOIN resources ON resources.id = drift.resource
             WHERE drifted_since IS NOT NULL AND {IS_LOOKED_AT}",
        ))?;
        let mut rows = drifted.query([])?;
        while let Some(row) = rows.next()? {
            // Others than the one that is asked for have no facts here. What is not looked at any
            // more is not said to differ for ever.
            if let Some(facts) = all.facts.get_mut(&parsed(row, "resource")?) {
                facts.drift = Some(DriftFact {
                    since: moment(row, "drifted_since")?,
                    job: parsed_option(row, "job")?,
                    found: differences(row)?,
                });
            }
        }
        Ok(all)
    }

    fn recorded(&mut self, connection: &Connection, only: Option<&str>) -> Result<()> {
        let mut statement = connection.prepare_cached(&format!(
            "SELECT id, status, spec_hash, node, revision, updated_at, fingerprints FROM resources
             WHERE {}",
            narrowed("id", only)
        ))?;
        let mut rows = statement.query([only])?;
        while let Some(row) = rows.next()? {
            // By position: this runs once for each resource of the fleet.
            let text = |index| -> Result<&str> {
                let value = row.get_ref(index)?;
                value.as_str().map_err(corrupt)
            };
            let hash = row.get_ref(2)?.as_blob();
            let hash = hash.map_err(corrupt)?;
            let besides = match row.get_ref(6)?.as_str_or_null().map_err(corrupt)? {
                Some(text) => serde_json::from_str(text).map_err(corrupt)?,
                None => Fingerprints::new(),
            };
            let recorded = RecordedFact {
                status: parse(text(1)?)?,
                form: fingerprint::form(SpecHash(hash.try_into().map_err(corrupt)?), &besides),
                node: row.get(3)?,
                revision: row.get(4)?,
                updated_at: timestamp(row.get(5)?)?,
            };
            self.of(parse(text(0)?)?).recorded = Some(recorded);
        }
        Ok(())
    }

    fn targets(&mut self, connection: &Connection, only: Option<&str>) -> Result<()> {
        let mut statement = connection.prepare_cached(&format!(
            "SELECT targets.*, {JOB} FROM targets LEFT JOIN jobs ON jobs.id = targets.job
             WHERE {}",
            narrowed("targets.resource", only)
        ))?;
        let mut rows = statement.query([only])?;
        while let Some(row) = rows.next()? {
            let id: ResourceId = parsed(row, "resource")?;
            let target = target(row)?;
            self.of(id.clone()).target = Some(target);
            if row
                .get_ref("job_id")?
                .as_str_or_null()
                .ok()
                .flatten()
                .is_some()
            {
                self.note_job(id, row)?;
            }
        }
        Ok(())
    }

    fn open_jobs(&mut self, connection: &Connection, only: Option<&str>) -> Result<()> {
        let index = match only {
            Some(_) => "jobs_by_resource",
            None => "jobs_open_work",
        };
        let mut statement = connection.prepare_cached(&format!(
            "SELECT jobs.resource, {JOB} FROM jobs INDEXED BY {index}
             WHERE jobs.status IN ('queued', 'running', 'unknown')
               AND jobs.job_type <> 'drift_check' AND {}
             ORDER BY jobs.status = 'queued', jobs.sequence",
            narrowed("jobs.resource", only)
        ))?;
        let mut rows = statement.query([only])?;
        while let Some(row) = rows.next()? {
            self.note_job(parsed(row, "resource")?, row)?;
        }
        Ok(())
    }

    /// For resources that a job left as failed, the one that did.
    fn failures(&mut self, connection: &Connection) -> Result<()> {
        let mut statement = connection.prepare_cached(&format!(
            "SELECT {JOB} FROM jobs WHERE resource = ?1 AND {TELLING}
             ORDER BY sequence DESC LIMIT 1"
        ))?;
        for (id, facts) in &mut self.facts {
            let has_failed = facts
                .recorded
                .as_ref()
                .is_some_and(|known| known.status == ResourceStatus::Failed);
            if has_failed {
                let found = statement
                    .query_row(params![id.to_string()], |row| Ok(ended(row)))
                    .optional()?;
                if let Some(found) = found.transpose()? {
                    facts.ended = Some(found);
                }
            }
        }
        Ok(())
    }

    fn of(&mut self, id: ResourceId) -> &mut ConditionInputs {
        self.facts.entry(id).or_default()
    }

    /// Of several open jobs the one that runs, else the first in the queue, tells how it goes.
    fn note_job(&mut self, id: ResourceId, row: &Row<'_>) -> Result<()> {
        let status: JobStatus = parsed(row, "job_status")?;
        if status.is_terminal() {
            let facts = self.facts.entry(id.clone()).or_default();
            facts.ended = Some(ended(row)?);
            if facts.recorded.is_none() {
                self.lanes.entry(id).or_insert(get(row, "job_node")?);
            }
            return Ok(());
        }
        let open = OpenJob {
            id: parsed(row, "job_id")?,
            status,
            revision: get(row, "job_revision")?,
            created_at: moment(row, "job_created_at")?,
            started_at: moment_option(row, "job_started_at")?,
        };
        let facts = self.facts.entry(id.clone()).or_default();
        let waits = |known: &OpenJob| known.status == JobStatus::Queued;
        if facts
            .open
            .as_ref()
            .is_none_or(|known| waits(known) && !waits(&open))
        {
            facts.open = Some(open);
            self.lanes.insert(id, get(row, "job_node")?);
        }
        Ok(())
    }

    fn standings(mut self, now: Timestamp) -> Vec<Standing> {
        let facts = std::mem::take(&mut self.facts);
        let node_of = |id: &ResourceId, facts: Option<&ConditionInputs>| match id {
            ResourceId::Node(name) => Some(name.clone()),
            ResourceId::Fleet | ResourceId::Site(_) | ResourceId::Env { .. } => {
                let recorded = || facts?.recorded.as_ref()?.node.clone();
                self.lanes.get(id).cloned().or_else(recorded)
            }
        };
        // What has had no job yet is made where its site is.
        let node_of_site = |id: &ResourceId| {
            let site = ResourceId::Site(id.site()?.to_owned());
            node_of(&site, facts.get(&site))
        };
        let nodes: Vec<Option<String>> = facts
            .iter()
            .map(|(id, known)| node_of(id, Some(known)).or_else(|| node_of_site(id)))
            .collect();
        let mut all = Vec::with_capacity(facts.len());
        for ((id, mut facts), node) in facts.into_iter().zip(nodes) {
            facts.away_since = node.as_ref().and_then(|node| self.away.get(node)).copied();
            if matches!(id, ResourceId::Node(_)) && facts.away_since.is_some() {
                away(&mut facts);
            }
            let site = id.site().map(|site| ResourceId::Site(site.to_owned()));
            let on = node.clone().map(ResourceId::Node);
            let mut holders = [Some(id.clone()), site, on].into_iter().flatten();
            facts.suspended_by = holders.find(|holder| self.suspended.contains(holder));
            all.push(standing(id, node, &facts, now));
        }
        all
    }
}

/// A node that jobs wait for does not answer, whatever a job made of it before.
fn away(facts: &mut ConditionInputs) {
    if let Some(recorded) = &mut facts.recorded {
        recorded.status = ResourceStatus::Unreachable;
    }
}

fn target(row: &Row<'_>) -> Result<Target> {
    let since = moment_option(row, "blocked_since")?;
    let blocks = since.map(|since| blocks(row).map(|found| (since, found)));
    let blocked = match blocks.transpose()? {
        Some((since, found)) => {
            let block = |(code, reason)| Block {
                code,
                reason,
                since,
            };
            found.into_iter().map(block).collect()
        }
        None => Vec::new(),
    };
    Ok(Target {
        revision: get(row, "revision")?,
        wanted: SpecHash(digest(row, "wanted")?),
        since: moment(row, "since")?,
        attempted: get(row, "attempted")?,
        blocked,
        given_up: get(row, "given_up")?,
    })
}

fn ended(row: &Row<'_>) -> Result<EndedJob> {
    Ok(EndedJob {
        id: parsed(row, "job_id")?,
        status: parsed(row, "job_status")?,
        error_code: parsed_option(row, "job_error_code")?,
        error_message: get(row, "job_error_message")?,
        revision: get(row, "job_revision")?,
        started_at: moment_option(row, "job_started_at")?,
        finished_at: moment(row, "job_finished_at")?,
    })
}
