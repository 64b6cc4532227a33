-- Whether a resource is on its node what was applied. One without a row was not looked at.
CREATE TABLE drift (
    resource TEXT PRIMARY KEY,
    job TEXT REFERENCES jobs (id),     -- that looked, or that made it what it should be
    checked_at INTEGER NOT NULL,
    drifted_since INTEGER,             -- when that was seen first; NULL: it is what was applied
    tasks TEXT NOT NULL CHECK (json_valid(tasks)),  -- that would change something, by name
    CHECK ((drifted_since IS NULL) = (tasks = '[]'))
) STRICT, WITHOUT ROWID;

CREATE INDEX drift_found ON drift (drifted_since) WHERE drifted_since IS NOT NULL;
