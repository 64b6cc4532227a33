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
