-- Rows of schema 11, after those of the schemas before, for the tests of later migrations.
UPDATE resources SET drift_mode = 'off' WHERE kind = 'env';
