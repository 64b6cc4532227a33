-- Who asked for a job: a plan ends only what plans asked for.
ALTER TABLE jobs ADD COLUMN origin TEXT NOT NULL DEFAULT 'plan'
    CHECK (origin IN ('plan', 'schedule', 'person', 'job'));
-- Whether its success changes what is recorded of a resource.
ALTER TABLE jobs ADD COLUMN has_effects INTEGER NOT NULL DEFAULT 0 CHECK (has_effects IN (0, 1));
UPDATE jobs SET
    has_effects = coalesce((SELECT changes <> '[]' FROM job_payloads WHERE job = jobs.id), 0),
    origin = CASE
        WHEN job_type NOT IN ('health_check', 'drift_check') THEN 'plan'
        WHEN reason LIKE 'scheduled for %' THEN 'schedule'
        WHEN (SELECT json_extract(json, '$.checks') FROM plans WHERE id = plan_id) IS NOT NULL
            THEN 'person'
        ELSE 'job' END;
