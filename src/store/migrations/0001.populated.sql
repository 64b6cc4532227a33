-- Rows of schema 1 for the tests of later migrations.
INSERT INTO revisions VALUES ('c0ffee', 'Ops <ops@example.com>', 'first', 1, 0, 2);
INSERT INTO resources VALUES ('node/web-1', 'node', zeroblob(32), 1, 'active', 0, NULL, NULL,
    'c0ffee', 'nodes.yaml', 1, NULL, 2, 2, '{"host":"192.0.2.1"}');
INSERT INTO pause VALUES (1, 2, 'a backup was restored');
INSERT INTO plans VALUES ('01900000-0000-7000-8000-000000000001', 'c0ffee', 'd', '{}', 0, 'ops', 2);
INSERT INTO jobs (id, sequence, plan_id, job_type, status, resource, node_id, blocked_by,
    attempt_count, max_attempts, run_after, base_generation, work, token, started_at, finished_at,
    revision, reason, created_at, updated_at)
VALUES ('01900000-0000-7000-8000-000000000002', 1, '01900000-0000-7000-8000-000000000001',
    'node_provision', 'succeeded', 'node/web-1', 'web-1', 0, 1, 3, 2, 0, zeroblob(32), 1, 3, 4, 'c0ffee',
    'node is new', 2, 4);
INSERT INTO job_payloads VALUES ('01900000-0000-7000-8000-000000000002', '[]', '{}');
INSERT INTO attempts (job, number, token, worker, started_at, finished_at, outcome)
VALUES ('01900000-0000-7000-8000-000000000002', 1, 1, 'host:1', 3, 4, 'succeeded');
INSERT INTO audit VALUES (1, 2, 'ops', 'plan_queued', NULL, NULL, '{"jobs":1}', zeroblob(32),
    randomblob(32));
