//! What happens by a schedule: the next time of each, moved on in the transaction that queues its
//! job, so that nothing happens twice or is lost.

use super::super::sql::{Transaction, params};
use jiff::Timestamp;

use super::super::Store;
use super::super::convert::{get, moment, parsed, timestamp};
use super::super::error::Result;
use super::super::queue::enqueue_requests::queue_requests;
use super::super::queue::new_plan::{NewJob, NewPlan};
use crate::core::id::ResourceId;
use crate::core::job::JobType;
use crate::core::schedule::Occurrence;

/// Something with a schedule, as documents have it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewSchedule {
    pub resource: ResourceId,
    pub job_type: JobType,
    /// A cron expression with a time zone.
    pub schedule: String,
}

/// Something with a schedule, and when it happens next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Due {
    pub resource: ResourceId,
    pub job_type: JobType,
    pub schedule: String,
    pub next: Occurrence,
}

impl Store {
    /// The health checks that recorded environments have a schedule for, sorted by id.
    ///
    /// # Errors
    /// When the database fails or holds something that cannot be read.
    pub fn recorded_schedules(&self) -> Result<Vec<NewSchedule>> {
        let mut statement = self.connection.prepare_cached(
            "SELECT id, health_schedule AS schedule FROM resources
             WHERE health_schedule IS NOT NULL ORDER BY id",
        )?;
        let rows = statement.query_and_then([], |row| {
            Ok(NewSchedule {
                resource: parsed(row, "id")?,
                job_type: JobType::HealthCheck,
                schedule: get(row, "schedule")?,
            })
        })?;
        rows.collect()
    }

    /// What happens by a schedule, the first one first; only what is due at `now` when that is
    /// given.
    ///
    /// # Errors
    /// When the database fails or holds something that cannot be read.
    pub fn schedules(&self, now: Option<Timestamp>) -> Result<Vec<Due>> {
        let mut statement = self.connection.prepare_cached(
            "SELECT * FROM schedules WHERE ?1 IS NULL OR due_at <= ?1
             ORDER BY due_at, resource, job_type",
        )?;
        let rows = statement.query_and_then([now.map(Timestamp::as_microsecond)], |row| {
            Ok(Due {
                resource: parsed(row, "resource")?,
                job_type: parsed(row, "job_type")?,
                schedule: get(row, "schedule")?,
                next: Occurrence {
                    nominal: moment(row, "nominal")?,
                    due: moment(row, "due_at")?,
                },
            })
        })?;
        rows.collect()
    }

    /// When the next of all is due, or none without any.
    ///
    /// # Errors
    /// When the database fails.
    pub fn next_due(&self) -> Result<Option<Timestamp>> {
        let next: Option<i64> = self
            .connection
            .prepare_cached("SELECT min(due_at) FROM schedules")?
            .query_row([], |row| row.get(0))?;
        next.map(timestamp).transpose()
    }

    /// Keeps these schedules with their next times, and forgets those of `gone`.
    ///
    /// # Errors
    /// When the database fails.
    pub fn keep_schedules(&mut self, kept: &[Due], gone: &[(ResourceId, JobType)]) -> Result<()> {
        if kept.is_empty() && gone.is_empty() {
            return Ok(());
        }
        self.write(|tx| {
            for (resource, job_type) in gone {
                tx.prepare_cached("DELETE FROM schedules WHERE resource = ?1 AND job_type = ?2")?
                    .execute([&resource.to_string(), job_type.as_str()])?;
            }
            for due in kept {
                tx.prepare_cached(
                    "INSERT INTO schedules (resource, job_type, schedule, nominal, due_at)
                     VALUES (?1, ?2, ?3, ?4, ?5)
                     ON CONFLICT (resource, job_type) DO UPDATE SET
                         schedule = excluded.schedule, nominal = excluded.nominal,
                         due_at = excluded.due_at",
                )?
                .execute(params![
                    due.resource.to_string(),
                    due.job_type.as_str(),
                    due.schedule,
                    due.next.nominal.as_microsecond(),
                    due.next.due.as_microsecond(),
                ])?;
            }
            Ok(())
        })
    }

    /// Queues what is due, and moves its schedule on to `next`; without a job it is only moved on.
    /// Nothing happens when somebody else was faster. Whether it was not.
    ///
    /// # Errors
    /// When the database fails.
    pub fn enqueue_due(
        &mut self,
        due: &Due,
        next: Option<Occurrence>,
        job: Option<(&NewPlan, &NewJob)>,
        actor: &str,
        now: Timestamp,
    ) -> Result<bool> {
        self.write(|tx| {
            if !move_on(tx, due, next)? {
                return Ok(false);
            }
            if let Some((plan, job)) = job {
                let checks = queue_requests(tx, plan, std::slice::from_ref(job), actor, now)?;
                // One that was open already was queued by somebody else.
                for queued in checks.queued {
                    tx.prepare_cached(
                        "UPDATE schedules SET last_job = ?3 WHERE resource = ?1 AND job_type = ?2",
                    )?
                    .execute(params![
                        due.resource.to_string(),
                        due.job_type.as_str(),
                        queued.to_string()
                    ])?;
                }
            }
            Ok(true)
        })
    }
}

/// Whether it was still at the occurrence that the caller saw.
fn move_on(tx: &Transaction<'_>, due: &Due, next: Option<Occurrence>) -> Result<bool> {
    let key = (due.resource.to_string(), due.job_type.as_str());
    let seen = due.next.nominal.as_microsecond();
    let moved = match next {
        Some(next) => tx
            .prepare_cached(
                "UPDATE schedules SET nominal = ?4, due_at = ?5
                 WHERE resource = ?1 AND job_type = ?2 AND nominal = ?3",
            )?
            .execute(params![
                key.0,
                key.1,
                seen,
                next.nominal.as_microsecond(),
                next.due.as_microsecond()
            ])?,
        None => tx
            .prepare_cached(
                "DELETE FROM schedules WHERE resource = ?1 AND job_type = ?2 AND nominal = ?3",
            )?
            .execute(params![key.0, key.1, seen])?,
    };
    Ok(moved == 1)
}
