-- Rows of schema 9, after those of the schemas before, for the tests of later migrations.
UPDATE job_payloads SET changes = '{"made":[]}' WHERE changes <> '[]';
