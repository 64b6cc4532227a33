-- Rows of schema 8, after those of the schemas before, for the tests of later migrations.
UPDATE jobs SET folded = 1 WHERE sequence = 7 AND finished_at IS NOT NULL;
INSERT INTO looks VALUES ('env/acme/production', 'health_check', '01900000-0000-7000-8000-000000000006',
    'succeeded', NULL, '[]', 0, 8, 8, 1, 1, '[[20512,1,0,35]]');
INSERT INTO audit_said VALUES ('node/web-1', 'c0ffee');
INSERT INTO sizes VALUES (20512, 4096, 0, 0);
