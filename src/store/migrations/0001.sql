-- Times are microseconds since 1970 in UTC. Ids of jobs and plans are UUIDv7 as text, ids of
-- resources are `node/NAME`, `site/NAME`, `env/SITE/NAME`.

CREATE TABLE revisions (
    id TEXT PRIMARY KEY,              -- a commit, or `dirty:` and a digest
    author TEXT,
    message TEXT,
    committed_at INTEGER,
    dirty INTEGER NOT NULL CHECK (dirty IN (0, 1)),
    first_seen_at INTEGER NOT NULL
) STRICT;

CREATE TABLE resources (
    id TEXT PRIMARY KEY,
    kind TEXT NOT NULL CHECK (kind IN ('fleet', 'node', 'site', 'env')),
    spec_hash BLOB NOT NULL CHECK (length(spec_hash) = 32),
    generation INTEGER NOT NULL CHECK (generation > 0),
    status TEXT NOT NULL CHECK (status IN ('new', 'provisioning', 'active', 'unreachable',
        'decommissioned', 'cloning', 'deploying', 'restoring', 'failed')),
    protect INTEGER NOT NULL CHECK (protect IN (0, 1)),
    secret_fingerprints TEXT CHECK (json_valid(secret_fingerprints)),  -- NULL: none
    node TEXT,
    revision TEXT NOT NULL REFERENCES revisions (id),
    source_file TEXT NOT NULL,
    source_line INTEGER NOT NULL,
    plan_id TEXT,                     -- the plan that recorded it last
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    spec TEXT NOT NULL CHECK (json_valid(spec))
) STRICT;

-- Covers what a diff reads, so that it never touches the specs.
CREATE INDEX resources_heads
    ON resources (kind, id, spec_hash, generation, status, protect, secret_fingerprints);

CREATE TABLE plans (
    id TEXT PRIMARY KEY,
    revision TEXT NOT NULL REFERENCES revisions (id),
    digest TEXT NOT NULL,
    json TEXT NOT NULL CHECK (json_valid(json)),
    partial INTEGER NOT NULL CHECK (partial IN (0, 1)),
    created_by TEXT NOT NULL,
    created_at INTEGER NOT NULL
) STRICT;

CREATE INDEX plans_by_revision ON plans (revision);

-- Numbers that only grow: the order of jobs, and the fencing tokens of claims.
CREATE TABLE counters (
    name TEXT PRIMARY KEY,
    value INTEGER NOT NULL
) STRICT;

INSERT INTO counters (name, value) VALUES ('job_sequence', 0), ('fencing_token', 0);

-- While there is a row, no job is claimed.
CREATE TABLE pause (
    only INTEGER PRIMARY KEY CHECK (only = 1),
    since INTEGER NOT NULL,
    reason TEXT NOT NULL
) STRICT;

CREATE TABLE jobs (
    id TEXT PRIMARY KEY,
    sequence INTEGER NOT NULL UNIQUE,
    plan_id TEXT NOT NULL REFERENCES plans (id),
    job_type TEXT NOT NULL,
    status TEXT NOT NULL CHECK (status IN ('queued', 'running', 'unknown', 'succeeded', 'failed',
        'cancelled')),
    resource TEXT NOT NULL,
    node_id TEXT NOT NULL,
    site_id TEXT,
    environment_id TEXT,
    blocked_by INTEGER NOT NULL CHECK (blocked_by >= 0),  -- dependencies that have not succeeded
    attempt_count INTEGER NOT NULL DEFAULT 0 CHECK (attempt_count >= 0),
    max_attempts INTEGER NOT NULL CHECK (max_attempts > 0),
    run_after INTEGER NOT NULL,
    base_generation INTEGER NOT NULL,  -- of the resource when it was planned; 0: not recorded
    work BLOB NOT NULL CHECK (length(work) = 32),  -- a digest of what it does, for equal jobs
    cancel_requested TEXT,             -- why a job that runs is to stop
    status_on_start TEXT,
    status_on_failure TEXT,
    locked_at INTEGER,
    locked_by TEXT,
    token INTEGER,                     -- of the claim that holds it
    lease_expires_at INTEGER,
    started_at INTEGER,
    finished_at INTEGER,
    error_code TEXT,
    error_message TEXT,
    revision TEXT NOT NULL REFERENCES revisions (id),
    reason TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    CHECK ((status IN ('running', 'unknown')) = (lease_expires_at IS NOT NULL)),
    CHECK ((status IN ('succeeded', 'failed', 'cancelled')) = (finished_at IS NOT NULL))
) STRICT;

-- The lanes: whatever a process believes, the database holds one active job per node and site.
CREATE UNIQUE INDEX jobs_node_lane ON jobs (node_id) WHERE status IN ('running', 'unknown');
CREATE UNIQUE INDEX jobs_site_lane ON jobs (site_id)
    WHERE status IN ('running', 'unknown') AND site_id IS NOT NULL;
CREATE UNIQUE INDEX jobs_token ON jobs (token) WHERE token IS NOT NULL;
-- What could run, in the order in which a claim walks over it.
CREATE INDEX jobs_ready ON jobs (node_id, sequence, run_after, site_id)
    WHERE status = 'queued' AND blocked_by = 0;
CREATE INDEX jobs_queued_resource ON jobs (resource) WHERE status = 'queued';
CREATE INDEX jobs_open_work ON jobs (work, sequence)
    WHERE status IN ('queued', 'running', 'unknown');
CREATE INDEX jobs_leases ON jobs (lease_expires_at) WHERE status IN ('running', 'unknown');
CREATE INDEX jobs_by_plan ON jobs (plan_id, sequence);
CREATE INDEX jobs_by_resource ON jobs (resource, sequence);

-- Nodes that could not be reached. Their jobs wait until one answers a probe; the row goes when
-- a job has got through to the node.
CREATE TABLE unreachable_nodes (
    node TEXT PRIMARY KEY,
    host TEXT NOT NULL,
    port INTEGER NOT NULL,
    since INTEGER NOT NULL,
    attempts INTEGER NOT NULL CHECK (attempts > 0),  -- jobs in a row that did not get through
    answers INTEGER NOT NULL CHECK (answers IN (0, 1)),  -- to a probe, since the last of them
    next_probe_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Apart from `jobs`, so that lists and claims read small rows.
CREATE TABLE job_payloads (
    job TEXT PRIMARY KEY REFERENCES jobs (id),
    changes TEXT NOT NULL CHECK (json_valid(changes)),
    payload TEXT NOT NULL CHECK (json_valid(payload))
) STRICT;

-- What payloads are made of, by digest: the jobs of a plan share most of it.
CREATE TABLE payload_parts (
    digest TEXT PRIMARY KEY,
    json TEXT NOT NULL CHECK (json_valid(json))
) STRICT, WITHOUT ROWID;

CREATE TABLE job_dependencies (
    job TEXT NOT NULL REFERENCES jobs (id),
    depends_on TEXT NOT NULL REFERENCES jobs (id),
    PRIMARY KEY (job, depends_on),
    CHECK (job <> depends_on)
) STRICT, WITHOUT ROWID;

CREATE INDEX job_dependencies_reverse ON job_dependencies (depends_on, job);

CREATE TABLE attempts (
    job TEXT NOT NULL REFERENCES jobs (id),
    number INTEGER NOT NULL CHECK (number > 0),
    token INTEGER NOT NULL UNIQUE,
    worker TEXT NOT NULL,
    pid INTEGER,
    pid_start INTEGER,
    boot_id TEXT,
    started_at INTEGER NOT NULL,
    finished_at INTEGER,
    outcome TEXT CHECK (outcome IN ('succeeded', 'failed', 'retried', 'cancelled',
        'interrupted')),
    error_code TEXT,
    error_message TEXT,
    events INTEGER NOT NULL DEFAULT 0,
    events_dropped INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (job, number),
    CHECK ((outcome IS NULL) = (finished_at IS NULL))
) STRICT, WITHOUT ROWID;

CREATE UNIQUE INDEX attempts_open ON attempts (job) WHERE outcome IS NULL;

CREATE TRIGGER attempts_end_once BEFORE UPDATE OF outcome ON attempts
WHEN old.outcome IS NOT NULL
BEGIN
    SELECT RAISE(ABORT, 'the attempt already has its terminal record');
END;

CREATE TABLE task_events (
    job TEXT NOT NULL,
    attempt INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    at INTEGER NOT NULL,
    task TEXT NOT NULL,
    status TEXT NOT NULL,
    seconds REAL,
    diff TEXT,
    message TEXT,
    PRIMARY KEY (job, attempt, seq),
    FOREIGN KEY (job, attempt) REFERENCES attempts (job, number)
) STRICT, WITHOUT ROWID;

CREATE TABLE releases (
    environment TEXT NOT NULL,
    name TEXT NOT NULL,               -- the directory below `releases/`
    job TEXT REFERENCES jobs (id),
    code_ref TEXT,
    wordpress_version TEXT,
    health TEXT NOT NULL CHECK (health IN ('unknown', 'healthy', 'unhealthy')),
    active INTEGER NOT NULL CHECK (active IN (0, 1)),
    created_at INTEGER NOT NULL,
    PRIMARY KEY (environment, name)
) STRICT;

CREATE UNIQUE INDEX releases_active ON releases (environment) WHERE active = 1;

CREATE TABLE domains (
    name TEXT PRIMARY KEY,
    environment TEXT NOT NULL,
    is_primary INTEGER NOT NULL CHECK (is_primary IN (0, 1)),
    tls TEXT NOT NULL CHECK (tls IN ('pending', 'active', 'failed', 'disabled')),
    expires_at INTEGER,
    updated_at INTEGER NOT NULL
) STRICT;

CREATE INDEX domains_by_environment ON domains (environment);

CREATE TABLE backups (
    id TEXT PRIMARY KEY,
    environment TEXT NOT NULL,
    scope TEXT NOT NULL CHECK (scope IN ('db', 'files', 'full')),
    status TEXT NOT NULL CHECK (status IN ('pending', 'running', 'completed', 'failed',
        'expired')),
    job TEXT REFERENCES jobs (id),
    snapshot TEXT,
    bytes INTEGER,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL
) STRICT;

CREATE INDEX backups_by_environment ON backups (environment, created_at);

CREATE TABLE node_facts (
    node TEXT PRIMARY KEY,
    json TEXT NOT NULL CHECK (json_valid(json)),
    at INTEGER NOT NULL
) STRICT;

CREATE TABLE host_keys (
    node TEXT NOT NULL,
    key TEXT NOT NULL,
    source TEXT NOT NULL CHECK (source IN ('enrolled', 'document')),
    enrolled_at INTEGER NOT NULL,
    PRIMARY KEY (node, key)
) STRICT;

-- Ciphertexts only; the identity that opens them is a file outside of the database.
CREATE TABLE secrets (
    name TEXT PRIMARY KEY,
    ciphertext BLOB NOT NULL,
    fingerprint TEXT NOT NULL,
    updated_at INTEGER NOT NULL
) STRICT;

CREATE TABLE generated_secrets (
    resource TEXT NOT NULL,
    name TEXT NOT NULL,
    ciphertext BLOB NOT NULL,
    created_at INTEGER NOT NULL,
    PRIMARY KEY (resource, name)
) STRICT;

-- Files of the fleet repo as they were when a plan was queued.
CREATE TABLE secret_blobs (
    digest TEXT PRIMARY KEY,
    name TEXT NOT NULL,
    ciphertext BLOB NOT NULL
) STRICT;

-- One-shots that ran: reverting or re-adding the YAML never replays them.
CREATE TABLE tokens (
    resource TEXT NOT NULL,
    field TEXT NOT NULL,
    token TEXT NOT NULL,
    job TEXT REFERENCES jobs (id),
    used_at INTEGER NOT NULL,
    PRIMARY KEY (resource, field, token)
) STRICT;

CREATE TABLE audit (
    seq INTEGER PRIMARY KEY,
    at INTEGER NOT NULL,
    actor TEXT NOT NULL,
    action TEXT NOT NULL,
    resource TEXT,
    job TEXT,
    detail TEXT NOT NULL CHECK (json_valid(detail)),
    prev_hash BLOB NOT NULL CHECK (length(prev_hash) = 32),
    hash BLOB NOT NULL CHECK (length(hash) = 32)
) STRICT;

CREATE INDEX audit_by_resource ON audit (resource, seq) WHERE resource IS NOT NULL;
CREATE INDEX audit_by_job ON audit (job, seq) WHERE job IS NOT NULL;

CREATE TRIGGER audit_keeps_its_entries BEFORE DELETE ON audit
BEGIN
    SELECT RAISE(ABORT, 'audit entries are never removed');
END;

CREATE TRIGGER audit_never_changes BEFORE UPDATE ON audit
BEGIN
    SELECT RAISE(ABORT, 'audit entries are never changed');
END;
