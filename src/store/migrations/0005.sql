-- Those of the tasks that only look: what they find no job puts back, and it outlives jobs that succeed.
ALTER TABLE drift ADD COLUMN by_hand TEXT NOT NULL DEFAULT '[]' CHECK (json_valid(by_hand));
