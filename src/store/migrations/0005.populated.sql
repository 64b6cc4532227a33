-- Rows of schema 5, after those of the schemas before, for the tests of later migrations.
INSERT INTO drift (resource, job, checked_at, drifted_since, tasks, by_hand)
VALUES ('env/acme/production', '01900000-0000-7000-8000-000000000002', 6, 6, '["Serve the code"]',
    '["Serve the code"]');
