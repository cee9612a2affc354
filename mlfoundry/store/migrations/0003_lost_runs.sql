-- When a run was given up because nothing was heard of it any more; NULL for all others.

ALTER TABLE run ADD COLUMN lost_at BIGINT;
