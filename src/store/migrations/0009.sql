-- Nobody read it, and that of a new fleet of 41,000 jobs had hundreds of MB.
ALTER TABLE plans DROP COLUMN json;
