-- Replays letters that are still dead: each gets its new id, its row in the outbox and its mark in one statement.
-- $1 operation, $2 letters, $3 a new id for each.
WITH given AS (
    SELECT letter, new_id FROM unnest($2::uuid[], $3::uuid[]) AS given (letter, new_id)
), claimed AS (
    UPDATE dead_letters AS letter
    SET state = 'replaying', replayed_as = given.new_id, state_changed_at = now()
    FROM given JOIN bulk_items AS item ON item.operation = $1 AND item.letter = given.letter
    WHERE letter.job_id = given.letter AND letter.state = 'dead'
      AND 0 < octet_length(coalesce(item.envelope, letter.envelope))
    RETURNING letter.job_id, letter.replayed_as, letter.queue, coalesce(item.envelope, letter.envelope) AS envelope
), sent AS (
    INSERT INTO outbox (id, queue, envelope, operation)
    SELECT replayed_as, queue, envelope, $1 FROM claimed
), told AS (
    UPDATE bulk_items AS item
    SET state = CASE WHEN claimed.job_id IS NOT NULL THEN 'queued'
                     WHEN letter.state = 'dead' THEN 'failed' ELSE 'skipped' END,
        queued_as = claimed.replayed_as,
        note = CASE WHEN claimed.job_id IS NOT NULL THEN NULL
                    WHEN letter.state = 'dead' THEN 'its envelope was never recorded'
                    ELSE 'was ' || coalesce(letter.state, 'removed') || ' by then' END
    FROM given
        LEFT JOIN claimed ON claimed.job_id = given.letter
        LEFT JOIN dead_letters AS letter ON letter.job_id = given.letter
    WHERE item.operation = $1 AND item.letter = given.letter
    RETURNING item.state
)
UPDATE bulk_operations
SET queued = queued + (SELECT count(*) FROM told WHERE state = 'queued'),
    skipped = skipped + (SELECT count(*) FROM told WHERE state = 'skipped'),
    failed = failed + (SELECT count(*) FROM told WHERE state = 'failed'),
    changed_at = now()
WHERE id = $1
