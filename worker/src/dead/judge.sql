-- Takes over how the replays of the current stage ended, and counts those that died.
WITH ended AS (
    UPDATE bulk_items AS item
    SET ended = outcome.status
    FROM outcomes AS outcome
    WHERE item.operation = $1 AND item.state = 'queued' AND item.ended IS NULL AND outcome.job_id = item.queued_as
    RETURNING item.ended
)
UPDATE bulk_operations
SET deaths = deaths + (SELECT count(*) FROM ended WHERE ended IN ('dead', 'expired'))
WHERE id = $1
