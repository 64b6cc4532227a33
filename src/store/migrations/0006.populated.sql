-- Rows of schema 6, after those of the schemas before, for the tests of later migrations.
UPDATE jobs SET origin = 'person' WHERE sequence = 6;
