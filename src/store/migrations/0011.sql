-- What is asked of many resources at once, so that no query looks into their specs.
ALTER TABLE resources ADD COLUMN suspended INTEGER NOT NULL DEFAULT 0 CHECK (suspended IN (0, 1));
ALTER TABLE resources ADD COLUMN drift_mode TEXT;  -- of the fleet what its `reconcile.drift` says
ALTER TABLE resources ADD COLUMN health_schedule TEXT;
UPDATE resources SET
    suspended = coalesce(json_extract(spec, '$.suspend') = 1, 0),
    drift_mode = json_extract(spec, CASE kind WHEN 'fleet' THEN '$.reconcile.drift' ELSE '$.drift' END),
    health_schedule = json_extract(spec, '$.health.schedule');
DROP INDEX resources_suspended;
CREATE INDEX resources_suspended ON resources (id) WHERE suspended = 1;
DROP INDEX resources_health_schedule;
CREATE INDEX resources_health_schedule ON resources (id) WHERE health_schedule IS NOT NULL;
