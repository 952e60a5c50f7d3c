-- Replays whose end a stage still waits for.
SELECT count(*) FROM bulk_items WHERE operation = $1 AND state = 'queued' AND ended IS NULL
