-- Stops an operation of which more replays died than may.
UPDATE bulk_operations
SET state = 'failed', changed_at = now(), note = format('%s replays died, %s may', deaths, max_failures)
WHERE id = $1 AND state = 'running' AND max_failures < deaths
