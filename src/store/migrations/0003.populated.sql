-- Rows of schema 3, after those of the schemas before, for the tests of later migrations.
INSERT INTO targets (resource, revision, wanted, since, job, blocked_code, blocked_reason,
    blocked_since)
VALUES ('node/web-1', 'c0ffee', zeroblob(32), 5, '01900000-0000-7000-8000-000000000002',
    'suspended', 'it is suspended', 5);
INSERT INTO repository (only, source, accepted, accepted_at) VALUES (1, '/srv/fleet', 'c0ffee', 5);
INSERT INTO sightings (revision, verdict, cause, diagnostics, seen_at)
VALUES ('c0ffee', 'accepted', 'start', '[]', 5);
INSERT INTO schedules (resource, job_type, schedule, nominal, due_at)
VALUES ('env/acme/production', 'health_check', '*/10 * * * *', 5, 6);
INSERT INTO noted (subject, kind, code) VALUES ('node/web-1', 'failed', 'ANSIBLE_HOST_FAILED');
INSERT INTO channels (name, format, events) VALUES ('notify/ops', 'json', '["failed"]');
INSERT INTO outbox (channel, event, subject, detail, created_at)
VALUES ('notify/ops', 'failed', 'node/web-1', '{}', 5);
