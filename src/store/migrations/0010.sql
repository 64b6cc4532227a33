-- Digests of the fleet repo's own templates are in it as well.
ALTER TABLE resources RENAME COLUMN secret_fingerprints TO fingerprints;
