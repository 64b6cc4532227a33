-- Rows of schema 4, after those of the schemas before, for the tests of later migrations.
INSERT INTO drift (resource, job, checked_at, drifted_since, tasks)
VALUES ('node/web-1', '01900000-0000-7000-8000-000000000002', 6, 6, '["Apply the node''s files"]');
