-- A new operation; its letters are counted once they are frozen.
INSERT INTO bulk_operations (id, kind, filter, reason, actor, rate, stage_size, max_failures, matched)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, 0)
