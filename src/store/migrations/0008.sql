-- History has an end, see docs/decisions/0023-history-has-an-end.md.

-- The entry of the audit chain about its queueing; NULL: looks by a schedule, which have none.
ALTER TABLE plans ADD COLUMN audit_seq INTEGER;
UPDATE plans SET audit_seq = said.seq FROM
    (SELECT json_extract(detail, '$.plan') AS plan, seq FROM audit WHERE action = 'plan_queued')
        AS said
    WHERE said.plan = plans.id;
-- How many of its jobs history took away.
ALTER TABLE plans ADD COLUMN removed INTEGER NOT NULL DEFAULT 0 CHECK (removed >= 0);
CREATE INDEX plans_by_age ON plans (created_at);

-- Whether it found what the looks before and after it found: then it is only counted.
ALTER TABLE jobs ADD COLUMN folded INTEGER NOT NULL DEFAULT 0 CHECK (folded IN (0, 1));
CREATE INDEX jobs_folded ON jobs (finished_at) WHERE folded = 1;
CREATE INDEX jobs_open_of_plan ON jobs (plan_id) WHERE status IN ('queued', 'running', 'unknown');
CREATE INDEX jobs_by_revision ON jobs (revision);
CREATE INDEX sightings_by_plan ON sightings (plan_id) WHERE plan_id IS NOT NULL;

-- Whatever names a job keeps it: found by index when one is taken away.
CREATE INDEX releases_by_job ON releases (job) WHERE job IS NOT NULL;
CREATE INDEX backups_by_job ON backups (job) WHERE job IS NOT NULL;
CREATE INDEX tokens_by_job ON tokens (job) WHERE job IS NOT NULL;
CREATE INDEX targets_by_job ON targets (job) WHERE job IS NOT NULL;
CREATE INDEX targets_by_failed_job ON targets (failed_job) WHERE failed_job IS NOT NULL;
CREATE INDEX schedules_by_job ON schedules (last_job) WHERE last_job IS NOT NULL;
CREATE INDEX drift_by_job ON drift (job) WHERE job IS NOT NULL;
-- The same for revisions.
CREATE INDEX resources_by_revision ON resources (revision);
CREATE INDEX targets_by_revision ON targets (revision);
CREATE INDEX targets_by_attempted ON targets (attempted) WHERE attempted IS NOT NULL;
CREATE INDEX outbox_by_end ON outbox (ended_at) WHERE ended_at IS NOT NULL;

-- What the looks of one type at one resource found: the last of them, and the days before.
CREATE TABLE looks (
    resource TEXT NOT NULL,
    job_type TEXT NOT NULL,
    job TEXT NOT NULL REFERENCES jobs (id),  -- the last that came to an end
    status TEXT NOT NULL CHECK (status IN ('succeeded', 'failed')),
    error_code TEXT,
    found TEXT NOT NULL,              -- what differed, as JSON
    is_repeat INTEGER NOT NULL CHECK (is_repeat IN (0, 1)),  -- the one before found the same
    since INTEGER NOT NULL,           -- when that was found first
    last_at INTEGER NOT NULL,
    repeats INTEGER NOT NULL CHECK (repeats > 0),  -- how often it was found in a row
    total INTEGER NOT NULL CHECK (total > 0),      -- looks ever
    days TEXT NOT NULL CHECK (json_valid(days)),   -- [[day, good, bad, milliseconds], …]
    PRIMARY KEY (resource, job_type)
) STRICT, WITHOUT ROWID;

CREATE INDEX looks_by_job ON looks (job);

-- In which round of clearing up it was kept last: what is kept meanwhile for jobs that are not
-- queued yet is not taken away.
ALTER TABLE payload_parts ADD COLUMN kept_in INTEGER NOT NULL DEFAULT 0;
ALTER TABLE secret_blobs ADD COLUMN kept_in INTEGER NOT NULL DEFAULT 0;

-- Counts of jobs that were taken away, so that those of all jobs ever never go down.
ALTER TABLE job_totals ADD COLUMN removed INTEGER NOT NULL DEFAULT 0 CHECK (removed >= 0);
DROP TRIGGER job_totals_delete;
CREATE TRIGGER job_totals_delete AFTER DELETE ON jobs
BEGIN
    UPDATE job_totals SET jobs = jobs - 1, removed = removed + 1
        WHERE status = old.status AND job_type = old.job_type;
END;

-- How far clearing up has come.
CREATE TABLE history (
    only INTEGER PRIMARY KEY CHECK (only = 1),
    round INTEGER NOT NULL,           -- grows with each round, at most once a day
    round_at INTEGER NOT NULL,        -- when it did
    swept_at INTEGER NOT NULL         -- when all jobs were looked at last
) STRICT;

INSERT INTO history (only, round, round_at, swept_at) VALUES (1, 2, 0, 0);

-- Parts of the audit chain that are files beside the database.
CREATE TABLE audit_segments (
    first INTEGER PRIMARY KEY,
    last INTEGER NOT NULL UNIQUE CHECK (last >= first),
    hash BLOB NOT NULL CHECK (length(hash) = 32),  -- of the last entry in it
    bytes INTEGER NOT NULL,           -- of its file
    closed_at INTEGER NOT NULL
) STRICT;

-- The last word of the segments about each resource that is recorded.
CREATE TABLE audit_said (
    resource TEXT PRIMARY KEY,
    spec_hash TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- Plans that were taken away while the entry about them is still in the database.
CREATE TABLE removed_plans (
    audit_seq INTEGER PRIMARY KEY
) STRICT;

DROP TRIGGER audit_keeps_its_entries;
CREATE TRIGGER audit_keeps_its_entries BEFORE DELETE ON audit
WHEN old.seq > coalesce((SELECT max(last) FROM audit_segments), 0)
BEGIN
    SELECT RAISE(ABORT, 'audit entries are never removed before their segment is written');
END;

-- What the database took on each day, to show how it grows.
CREATE TABLE sizes (
    day INTEGER PRIMARY KEY,          -- since 1970-01-01 in UTC
    bytes INTEGER NOT NULL,           -- of the file
    free INTEGER NOT NULL,            -- of them, for what comes
    segments INTEGER NOT NULL         -- bytes of the audit chain in files
) STRICT;

-- Each job asks whether its node is the machine of another one.
CREATE INDEX node_facts_by_machine ON node_facts (json ->> '$.machine_id');
CREATE INDEX host_keys_by_key ON host_keys (key);
