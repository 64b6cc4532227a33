-- Rows of schema 7, after those of the schemas before, for the tests of later migrations.
UPDATE targets SET blocks = '[["suspended","it is suspended"],["not-supported","`sftp`"]]';
