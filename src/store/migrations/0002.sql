-- What the status endpoint keeps and reads: who may look, and lists and counts that stay fast
-- however many jobs there were.

CREATE TABLE users (
    name TEXT PRIMARY KEY,
    password_hash TEXT NOT NULL,      -- argon2id in PHC form
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Of tokens only digests are kept: they are random and long, so a plain hash is enough.
CREATE TABLE sessions (
    token_hash BLOB PRIMARY KEY CHECK (length(token_hash) = 32),
    user TEXT NOT NULL REFERENCES users (name) ON DELETE CASCADE,
    created_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX sessions_by_user ON sessions (user, expires_at);
CREATE INDEX sessions_by_end ON sessions (expires_at);

CREATE TABLE api_tokens (
    name TEXT PRIMARY KEY,
    token_hash BLOB NOT NULL UNIQUE CHECK (length(token_hash) = 32),
    created_by TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    last_used_at INTEGER,
    expires_at INTEGER                -- NULL: never
) STRICT, WITHOUT ROWID;

-- Failed logins by a digest of who tried from where. Counted before the password is looked at,
-- so that a process that is killed in between has counted too.
CREATE TABLE login_failures (
    bucket BLOB PRIMARY KEY CHECK (length(bucket) = 32),
    failures INTEGER NOT NULL CHECK (failures > 0),
    last_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX login_failures_by_age ON login_failures (last_at);

-- How many failed logins were audited in this span of time, and how many were only counted.
CREATE TABLE login_audit (
    only INTEGER PRIMARY KEY CHECK (only = 1),
    since INTEGER NOT NULL,
    written INTEGER NOT NULL,
    left_out INTEGER NOT NULL
) STRICT;

INSERT INTO login_audit (only, since, written, left_out) VALUES (1, 0, 0, 0);

-- Webhook deliveries that were taken, so that none is taken twice.
CREATE TABLE webhook_deliveries (
    id BLOB PRIMARY KEY CHECK (length(id) = 32),
    received_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX webhook_deliveries_by_age ON webhook_deliveries (received_at);

CREATE INDEX jobs_by_status ON jobs (status, sequence);
CREATE INDEX jobs_by_node ON jobs (node_id, sequence);
CREATE INDEX jobs_by_site ON jobs (site_id, sequence) WHERE site_id IS NOT NULL;
CREATE INDEX resources_by_node ON resources (node, id) WHERE node IS NOT NULL;
CREATE INDEX revisions_by_sight ON revisions (first_seen_at, id);

-- Counts that nobody has to count. Triggers keep them, so that no statement can forget to.
CREATE TABLE job_totals (
    status TEXT NOT NULL,
    job_type TEXT NOT NULL,
    jobs INTEGER NOT NULL CHECK (jobs >= 0),
    PRIMARY KEY (status, job_type)
) STRICT, WITHOUT ROWID;

INSERT INTO job_totals (status, job_type, jobs)
    SELECT status, job_type, count(*) FROM jobs GROUP BY status, job_type;

CREATE TRIGGER job_totals_insert AFTER INSERT ON jobs
BEGIN
    INSERT INTO job_totals (status, job_type, jobs) VALUES (new.status, new.job_type, 1)
        ON CONFLICT (status, job_type) DO UPDATE SET jobs = jobs + 1;
END;

CREATE TRIGGER job_totals_move AFTER UPDATE OF status ON jobs WHEN old.status <> new.status
BEGIN
    UPDATE job_totals SET jobs = jobs - 1
        WHERE status = old.status AND job_type = old.job_type;
    INSERT INTO job_totals (status, job_type, jobs) VALUES (new.status, new.job_type, 1)
        ON CONFLICT (status, job_type) DO UPDATE SET jobs = jobs + 1;
END;

CREATE TRIGGER job_totals_delete AFTER DELETE ON jobs
BEGIN
    UPDATE job_totals SET jobs = jobs - 1
        WHERE status = old.status AND job_type = old.job_type;
END;

CREATE TABLE resource_totals (
    kind TEXT NOT NULL,
    status TEXT NOT NULL,
    resources INTEGER NOT NULL CHECK (resources >= 0),
    PRIMARY KEY (kind, status)
) STRICT, WITHOUT ROWID;

INSERT INTO resource_totals (kind, status, resources)
    SELECT kind, status, count(*) FROM resources GROUP BY kind, status;

CREATE TRIGGER resource_totals_insert AFTER INSERT ON resources
BEGIN
    INSERT INTO resource_totals (kind, status, resources) VALUES (new.kind, new.status, 1)
        ON CONFLICT (kind, status) DO UPDATE SET resources = resources + 1;
END;

CREATE TRIGGER resource_totals_move AFTER UPDATE OF status ON resources
WHEN old.status <> new.status
BEGIN
    UPDATE resource_totals SET resources = resources - 1
        WHERE kind = old.kind AND status = old.status;
    INSERT INTO resource_totals (kind, status, resources) VALUES (new.kind, new.status, 1)
        ON CONFLICT (kind, status) DO UPDATE SET resources = resources + 1;
END;

CREATE TRIGGER resource_totals_delete AFTER DELETE ON resources
BEGIN
    UPDATE resource_totals SET resources = resources - 1
        WHERE kind = old.kind AND status = old.status;
END;

-- Durations in microseconds, counted by the smallest limit that holds them, so that no figure
-- goes down when the program starts again.
CREATE TABLE durations (
    name TEXT NOT NULL,
    label TEXT NOT NULL,
    limit_us INTEGER NOT NULL,        -- 0: above all limits
    count INTEGER NOT NULL,
    sum_us INTEGER NOT NULL,
    PRIMARY KEY (name, label, limit_us)
) STRICT, WITHOUT ROWID;

CREATE TABLE duration_limits (
    name TEXT NOT NULL,
    limit_us INTEGER NOT NULL CHECK (limit_us > 0),
    PRIMARY KEY (name, limit_us)
) STRICT, WITHOUT ROWID;

INSERT INTO duration_limits (name, limit_us) VALUES
    ('queue_wait', 100000), ('queue_wait', 1000000), ('queue_wait', 5000000),
    ('queue_wait', 15000000), ('queue_wait', 60000000), ('queue_wait', 300000000),
    ('queue_wait', 900000000), ('queue_wait', 3600000000), ('queue_wait', 21600000000),
    ('job', 500000), ('job', 1000000), ('job', 2500000), ('job', 5000000), ('job', 10000000),
    ('job', 30000000), ('job', 60000000), ('job', 300000000), ('job', 900000000),
    ('job', 1800000000),
    ('reconcile', 10000), ('reconcile', 50000), ('reconcile', 100000), ('reconcile', 500000),
    ('reconcile', 1000000), ('reconcile', 5000000), ('reconcile', 15000000),
    ('reconcile', 60000000), ('reconcile', 300000000),
    ('commit_to_converged', 1000000), ('commit_to_converged', 5000000),
    ('commit_to_converged', 15000000), ('commit_to_converged', 60000000),
    ('commit_to_converged', 300000000), ('commit_to_converged', 900000000),
    ('commit_to_converged', 3600000000), ('commit_to_converged', 21600000000);

-- A job waits from the moment that it is queued to the start of its first attempt.
CREATE TRIGGER durations_of_waits AFTER INSERT ON attempts WHEN new.number = 1
BEGIN
    INSERT INTO durations (name, label, limit_us, count, sum_us)
    SELECT 'queue_wait', job_type,
        coalesce((SELECT min(limit_us) FROM duration_limits WHERE name = 'queue_wait'
            AND limit_us >= new.started_at - created_at), 0),
        1, max(new.started_at - created_at, 0)
    FROM jobs WHERE id = new.job
    ON CONFLICT (name, label, limit_us) DO UPDATE
        SET count = count + 1, sum_us = sum_us + excluded.sum_us;
END;

CREATE TRIGGER durations_of_attempts AFTER UPDATE OF outcome ON attempts
WHEN old.outcome IS NULL AND new.outcome IS NOT NULL
BEGIN
    INSERT INTO durations (name, label, limit_us, count, sum_us)
    SELECT 'job', job_type,
        coalesce((SELECT min(limit_us) FROM duration_limits WHERE name = 'job'
            AND limit_us >= new.finished_at - new.started_at), 0),
        1, max(new.finished_at - new.started_at, 0)
    FROM jobs WHERE id = new.job
    ON CONFLICT (name, label, limit_us) DO UPDATE
        SET count = count + 1, sum_us = sum_us + excluded.sum_us;
END;
