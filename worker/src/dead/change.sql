-- Moves an operation from one of some states to another; deaths are counted from here on.
UPDATE bulk_operations
SET state = $2, note = $4, changed_at = now(), deaths = CASE WHEN $2 = 'running' THEN 0 ELSE deaths END
WHERE id = $1 AND state = ANY($3)
