-- Rows of schema 10, after those of the schemas before, for the tests of later migrations.
UPDATE resources SET fingerprints = '{"templates/nginx/site.conf":"00c0ffee00c0ffee"}' WHERE kind = 'env';
