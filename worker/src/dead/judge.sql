-- Takes over how the replays of the current stage ended, and counts those that died. One that the relay gave up on (its
-- unique key is held by a live job, for example) will not end, and counts as dead.
WITH ended AS (
    UPDATE bulk_items AS item
    SET ended = coalesce(outcome.status, 'refused')
    FROM bulk_items AS waiting
        LEFT JOIN LATERAL (SELECT status FROM outcomes WHERE job_id = waiting.queued_as LIMIT 1) AS outcome ON true
        LEFT JOIN outbox ON outbox.id = waiting.queued_as AND outbox.given_up
    WHERE waiting.operation = $1 AND waiting.state = 'queued' AND waiting.ended IS NULL
      AND item.operation = waiting.operation AND item.letter = waiting.letter
      AND (outcome.status IS NOT NULL OR outbox.id IS NOT NULL)
    RETURNING item.ended
)
UPDATE bulk_operations
SET deaths = deaths + (SELECT count(*) FROM ended WHERE ended IN ('dead', 'expired', 'refused'))
WHERE id = $1
