-- Rows of schema 2, after those of schema 1, for the tests of later migrations.
INSERT INTO users VALUES ('anna', '$argon2id$', 5, 5);
INSERT INTO sessions VALUES (zeroblob(32), 'anna', 5, 6);
INSERT INTO api_tokens VALUES ('prometheus', zeroblob(32), 'ops', 5, NULL, NULL);
INSERT INTO login_failures VALUES (zeroblob(32), 1, 5);
INSERT INTO webhook_deliveries VALUES (zeroblob(32), 5);
