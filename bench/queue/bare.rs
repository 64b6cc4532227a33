//! The yardstick: the statements of a claim and of a finish, in the same two transactions with
//! the same rows, and none of our code around them.

use std::collections::VecDeque;
use std::path::Path;
use std::time::Instant;

use rusqlite::{Connection, TransactionBehavior, params};

use crate::{Result, SLOTS, fill};

const NODE: &str = "SELECT node_id FROM jobs INDEXED BY jobs_ready
    WHERE status = 'queued' AND blocked_by = 0 AND node_id > ?1 ORDER BY node_id LIMIT 1";
const BUSY: &str = "SELECT 1 FROM jobs WHERE node_id = ?1 AND status IN ('running', 'unknown')";
const FIRST: &str = "SELECT id FROM jobs INDEXED BY jobs_ready
    WHERE status = 'queued' AND blocked_by = 0 AND node_id = ?1 AND run_after <= ?2
      AND NOT EXISTS (SELECT 1 FROM jobs AS other WHERE other.site_id = jobs.site_id
                          AND other.status IN ('running', 'unknown'))
    ORDER BY sequence LIMIT 1";
const JOB: &str = "SELECT * FROM jobs WHERE id = ?1";
const BASE: &str = "SELECT base_generation, plan_id FROM jobs WHERE id = ?1";
const GENERATION: &str = "SELECT generation, plan_id FROM resources WHERE id = ?1";
const TOKEN: &str =
    "UPDATE counters SET value = value + 1 WHERE name = 'fencing_token' RETURNING value";
const TAKE: &str = "UPDATE jobs SET status = 'running', attempt_count = attempt_count + 1,
    locked_at = ?3, locked_by = ?4, token = ?2, lease_expires_at = ?3, error_code = NULL,
    error_message = NULL, started_at = coalesce(started_at, ?3), updated_at = ?3 WHERE id = ?1";
const ATTEMPT: &str = "INSERT INTO attempts (job, number, token, worker, started_at)
    VALUES (?1, 1 + (SELECT count(*) FROM attempts WHERE job = ?1), ?2, ?3, ?4) RETURNING number";
const PAYLOAD: &str = "SELECT changes, payload, status_on_start FROM job_payloads
    JOIN jobs ON jobs.id = job_payloads.job WHERE job = ?1";
const STATUS: &str = "UPDATE resources SET status = ?2, updated_at = ?3 WHERE id = ?1";
const HEAD: &str = "SELECT seq, hash FROM audit ORDER BY seq DESC LIMIT 1";
const AUDIT: &str = "INSERT INTO audit (seq, at, actor, action, resource, job, detail, prev_hash,
    hash) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?8)";
const HELD: &str = "SELECT 1 FROM jobs WHERE id = ?1 AND token = ?2 AND status = 'running'";
const CLOSE: &str = "UPDATE attempts SET finished_at = ?2, outcome = 'succeeded',
    error_code = NULL, error_message = NULL WHERE job = ?1 AND outcome IS NULL";
const END: &str = "UPDATE jobs SET status = 'succeeded', finished_at = ?2, error_code = NULL,
    error_message = NULL, run_after = run_after, attempt_count = attempt_count,
    lease_expires_at = NULL, locked_at = NULL, locked_by = NULL, token = NULL, updated_at = ?2
    WHERE id = ?1";
const PUT: &str = "INSERT INTO resources (id, kind, spec_hash, generation, status, protect,
        fingerprints, node, revision, source_file, source_line, plan_id, created_at,
        updated_at, spec)
    VALUES (?1, 'env', ?2, 1, 'active', 0, NULL, ?3, ?4, 'sites/a.yaml', 1, ?5, ?6, ?6, '{}')
    ON CONFLICT (id) DO UPDATE SET generation = generation + (spec_hash <> excluded.spec_hash),
        spec_hash = excluded.spec_hash, status = excluded.status,
        updated_at = excluded.updated_at, spec = excluded.spec";
const UNBLOCK: &str = "UPDATE jobs SET blocked_by = blocked_by - 1
    WHERE id IN (SELECT job FROM job_dependencies WHERE depends_on = ?1)";

pub(crate) struct Bare {
    connection: Connection,
    last_node: String,
}

struct Running {
    id: String,
    token: i64,
    resource: String,
    node: String,
    plan: String,
    revision: String,
}

impl Bare {
    pub(crate) fn open(path: &Path) -> Result<Self> {
        let connection = Connection::open(path)?;
        connection.execute_batch(
            "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON;
             PRAGMA temp_store = MEMORY; PRAGMA cache_size = -16000;
             PRAGMA wal_autocheckpoint = 4000;",
        )?;
        connection.set_prepared_statement_cache_capacity(128);
        Ok(Self {
            connection,
            last_node: String::new(),
        })
    }

    /// Cycles per second.
    pub(crate) fn cycles(&mut self, count: usize) -> Result<f64> {
        let mut running = VecDeque::new();
        let begun = Instant::now();
        for n in 0..count {
            let now = fill::at(n).as_microsecond();
            running.push_back(self.claim(now)?);
            if running.len() > SLOTS
                && let Some(job) = running.pop_front()
            {
                self.finish(&job, now)?;
            }
        }
        let rate = count as f64 / begun.elapsed().as_secs_f64();
        while let Some(job) = running.pop_front() {
            self.finish(&job, fill::at(count).as_microsecond())?;
        }
        Ok(rate)
    }

    fn claim(&mut self, now: i64) -> Result<Running> {
        let tx = self
            .connection
            .transaction_with_behavior(TransactionBehavior::Immediate)?;
        let mut node = self.last_node.clone();
        let id = loop {
            let next: rusqlite::Result<String> = tx
                .prepare_cached(NODE)?
                .query_row([&node], |row| row.get(0));
            node = match next {
                Ok(next) => next,
                Err(rusqlite::Error::QueryReturnedNoRows) => {
                    node.clear();
                    continue;
                }
                Err(error) => return Err(error.into()),
            };
            if tx.prepare_cached(BUSY)?.exists([&node])? {
                continue;
            }
            let first: rusqlite::Result<String> = tx
                .prepare_cached(FIRST)?
                .query_row(params![node, now], |row| row.get(0));
            match first {
                Ok(id) => break id,
                Err(rusqlite::Error::QueryReturnedNoRows) => {}
                Err(error) => return Err(error.into()),
            }
        };
        let (resource, plan, revision): (String, String, String) =
            tx.prepare_cached(JOB)?.query_row([&id], |row| {
                Ok((
                    row.get("resource")?,
                    row.get("plan_id")?,
                    row.get("revision")?,
                ))
            })?;
        let _base: i64 = tx
            .prepare_cached(BASE)?
            .query_row([&id], |row| row.get(0))?;
        tx.prepare_cached(GENERATION)?.exists([&resource])?;
        let token: i64 = tx.prepare_cached(TOKEN)?.query_row([], |row| row.get(0))?;
        tx.prepare_cached(TAKE)?
            .execute(params![id, token, now, "worker"])?;
        let _number: i64 = tx
            .prepare_cached(ATTEMPT)?
            .query_row(params![id, token, "worker", now], |row| row.get(0))?;
        let _payload: String = tx
            .prepare_cached(PAYLOAD)?
            .query_row([&id], |row| row.get(1))?;
        tx.prepare_cached(STATUS)?
            .execute(params![resource, "deploying", now])?;
        audit(&tx, now, "job_started", &resource, &id)?;
        tx.commit()?;
        self.last_node.clone_from(&node);
        Ok(Running {
            id,
            token,
            resource,
            node,
            plan,
            revision,
        })
    }

    fn finish(&mut self, job: &Running, now: i64) -> Result<()> {
        let tx = self
            .connection
            .transaction_with_behavior(TransactionBehavior::Immediate)?;
        tx.prepare_cached(HELD)?
            .exists(params![job.id, job.token])?;
        let _status: String = tx
            .prepare_cached(JOB)?
            .query_row([&job.id], |row| row.get("status"))?;
        tx.prepare_cached(CLOSE)?.execute(params![job.id, now])?;
        tx.prepare_cached(END)?.execute(params![job.id, now])?;
        tx.prepare_cached(PUT)?.execute(params![
            job.resource,
            [7_u8; 32],
            job.node,
            job.revision,
            job.plan,
            now
        ])?;
        tx.prepare_cached(STATUS)?
            .execute(params![job.resource, "active", now])?;
        audit(&tx, now, "job_succeeded", &job.resource, &job.id)?;
        tx.prepare_cached(UNBLOCK)?.execute([&job.id])?;
        Ok(tx.commit()?)
    }
}

/// As long as ours, without a chain.
fn audit(tx: &Connection, now: i64, action: &str, resource: &str, job: &str) -> Result<()> {
    let seq: i64 = tx.prepare_cached(HEAD)?.query_row([], |row| row.get(0))?;
    let detail = r#"{"attempt":1,"token":1234,"job_type":"env_configure","changes":[{"put":"env/site-1/env-123456","revision":"4f5c7f0d6f0f4c6c8a0b7b2f9f1d6a1e2b3c4d5e"}]}"#;
    tx.prepare_cached(AUDIT)?.execute(params![
        seq + 1,
        now,
        "worker",
        action,
        resource,
        job,
        detail,
        [9_u8; 32]
    ])?;
    Ok(())
}
