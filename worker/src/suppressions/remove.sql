UPDATE suppressions
SET removed_at = now(), changed_in = pg_current_xact_id()
WHERE channel = $1 AND tenant = $2 AND address = $3 AND removed_at IS NULL
