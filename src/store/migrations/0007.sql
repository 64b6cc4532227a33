-- All reasons why something of a resource has no job; the columns before have the first of them.
ALTER TABLE targets ADD COLUMN blocks TEXT NOT NULL DEFAULT '[]' CHECK (json_valid(blocks));
UPDATE targets SET blocks = json_array(json_array(blocked_code, blocked_reason))
    WHERE blocked_code IS NOT NULL;
