-- What the last plan of the fleet wanted of resources that were not as they were wanted. One
-- without a row is wanted as it is recorded.
CREATE TABLE targets (
    resource TEXT PRIMARY KEY,
    revision TEXT NOT NULL REFERENCES revisions (id),  -- that first asked for it
    wanted BLOB NOT NULL CHECK (length(wanted) = 32),  -- a digest of the form that is asked for
    since INTEGER NOT NULL,
    job TEXT REFERENCES jobs (id),    -- that carries it out; NULL: none could be planned
    attempted TEXT REFERENCES revisions (id),  -- of the last job before this one that began
    blocked_code TEXT,
    blocked_reason TEXT,
    blocked_since INTEGER,
    failures INTEGER NOT NULL DEFAULT 0 CHECK (failures >= 0),  -- in a row, of this form
    failed_job TEXT REFERENCES jobs (id),  -- the last of them that was counted
    retry_at INTEGER,                 -- when it is planned again after a failure
    given_up INTEGER NOT NULL DEFAULT 0 CHECK (given_up IN (0, 1)),
    CHECK ((blocked_code IS NULL) = (blocked_reason IS NULL)),
    CHECK ((blocked_code IS NULL) = (blocked_since IS NULL))
) STRICT, WITHOUT ROWID;

-- The few resources that are suspended, found without reading the specs of all.
CREATE INDEX resources_suspended ON resources (id)
    WHERE json_extract(spec, '$.suspend') = 1;

-- The fleet repo as the reconcile loop knows it.
CREATE TABLE repository (
    only INTEGER PRIMARY KEY CHECK (only = 1),
    source TEXT NOT NULL,             -- where it is and what of it is followed
    accepted TEXT REFERENCES revisions (id),  -- in force
    accepted_at INTEGER,
    unreachable_since INTEGER,        -- NULL: it was reached the last time
    failures INTEGER NOT NULL DEFAULT 0 CHECK (failures >= 0),  -- in a row
    error TEXT,
    CHECK ((accepted IS NULL) = (accepted_at IS NULL)),
    CHECK ((unreachable_since IS NULL) = (error IS NULL))
) STRICT;

-- What became of each revision of the fleet repo that was seen, in the order of their commits.
CREATE TABLE sightings (
    sequence INTEGER PRIMARY KEY,
    revision TEXT NOT NULL REFERENCES revisions (id),
    verdict TEXT NOT NULL CHECK (verdict IN ('accepted', 'invalid', 'refused', 'superseded')),
    cause TEXT NOT NULL,              -- of the reconcile that saw it
    code TEXT,                        -- why it was refused
    message TEXT,
    at_fault TEXT,                    -- the commit because of which it was refused
    diagnostics TEXT NOT NULL CHECK (json_valid(diagnostics)),
    seen_at INTEGER NOT NULL,
    plan_id TEXT REFERENCES plans (id),  -- the first that it led to
    jobs INTEGER NOT NULL DEFAULT 0,  -- of that plan
    converged_at INTEGER              -- when nothing was left to do for it
) STRICT;

CREATE INDEX sightings_by_revision ON sightings (revision, sequence);

-- What happens by a schedule, and when it does next.
CREATE TABLE schedules (
    resource TEXT NOT NULL,
    job_type TEXT NOT NULL,
    schedule TEXT NOT NULL,
    nominal INTEGER NOT NULL,         -- the next time by the schedule
    due_at INTEGER NOT NULL,          -- when it happens
    last_job TEXT REFERENCES jobs (id),
    PRIMARY KEY (resource, job_type),
    CHECK (due_at >= nominal)
) STRICT, WITHOUT ROWID;

CREATE INDEX schedules_due ON schedules (due_at);
CREATE INDEX resources_health_schedule ON resources (id)
    WHERE json_extract(spec, '$.health.schedule') IS NOT NULL;

-- What was told last of each resource, so that nothing is told twice.
CREATE TABLE noted (
    subject TEXT PRIMARY KEY,         -- the id of a resource, or `revision`, `converged`
    kind TEXT NOT NULL,
    code TEXT,
    revision TEXT
) STRICT, WITHOUT ROWID;

-- Who is told, as the fleet in force has it, and how the last delivery went.
CREATE TABLE channels (
    name TEXT PRIMARY KEY,            -- of the secret that holds the address
    format TEXT NOT NULL,
    events TEXT NOT NULL CHECK (json_valid(events)),
    secret_digest TEXT,               -- NULL: the secret is the control plane's own
    next_at INTEGER NOT NULL DEFAULT 0,
    failures INTEGER NOT NULL DEFAULT 0 CHECK (failures >= 0),
    error TEXT
) STRICT, WITHOUT ROWID;

CREATE TABLE outbox (
    id INTEGER PRIMARY KEY,
    channel TEXT NOT NULL,
    event TEXT NOT NULL,
    subject TEXT NOT NULL,
    detail TEXT NOT NULL CHECK (json_valid(detail)),
    created_at INTEGER NOT NULL,
    ended_at INTEGER,                 -- delivered, or given up with an error
    error TEXT
) STRICT;

CREATE INDEX outbox_open ON outbox (channel, id) WHERE ended_at IS NULL;
