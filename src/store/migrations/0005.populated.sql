-- Rows of schema 5, after those of the schemas before, for the tests of later migrations.
INSERT INTO drift (resource, job, checked_at, drifted_since, tasks, by_hand)
VALUES ('env/acme/production', '01900000-0000-7000-8000-000000000002', 6, 6, '["Serve the code"]',
    '["Serve the code"]');
INSERT INTO plans VALUES ('01900000-0000-7000-8000-000000000003', 'c0ffee', 'e', '{"checks":["env/acme/production"]}', 1,
    'ops', 7);
INSERT INTO jobs (id, sequence, plan_id, job_type, status, resource, node_id, blocked_by,
    attempt_count, max_attempts, run_after, base_generation, work, revision, reason, created_at,
    updated_at)
SELECT '01900000-0000-7000-8000-00000000000' || n, n, '01900000-0000-7000-8000-00000000000' || plan,
    job_type, 'queued', 'env/acme/production', 'web-1', 0, 0, 3, 7, 0, randomblob(32), 'c0ffee',
    reason, 7, 7
FROM (SELECT 4 AS n, 1 AS plan, 'env_configure' AS job_type, 'php.memory changed' AS reason
    UNION ALL SELECT 5, 1, 'health_check', 'follows a change'
    UNION ALL SELECT 6, 3, 'health_check', 'asked for'
    UNION ALL SELECT 7, 3, 'drift_check', 'scheduled for 2026-01-01T00:00:00Z');
INSERT INTO job_payloads VALUES ('01900000-0000-7000-8000-000000000004', '[{"path":"php.memory"}]', '{}');
