-- Rows of schema 3, after those of the schemas before, for the tests of later migrations.
INSERT INTO targets (resource, revision, wanted, since, job, blocked_code, blocked_reason,
    blocked_since)
VALUES ('node/web-1', 'c0ffee', zeroblob(32), 5, '01900000-0000-7000-8000-000000000002',
    'suspended', 'it is suspended', 5);
