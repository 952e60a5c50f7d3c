-- Discards letters that are still dead. $1 operation, $2 letters.
WITH given AS (
    SELECT letter FROM unnest($2::uuid[]) AS given (letter)
), claimed AS (
    UPDATE dead_letters AS letter
    SET state = 'discarded', state_changed_at = now()
    FROM given
    WHERE letter.job_id = given.letter AND letter.state = 'dead'
    RETURNING letter.job_id
), told AS (
    UPDATE bulk_items AS item
    SET state = CASE WHEN claimed.job_id IS NOT NULL THEN 'queued' ELSE 'skipped' END,
        note = CASE WHEN claimed.job_id IS NULL THEN 'was ' || coalesce(letter.state, 'removed') || ' by then' END
    FROM given
        LEFT JOIN claimed ON claimed.job_id = given.letter
        LEFT JOIN dead_letters AS letter ON letter.job_id = given.letter
    WHERE item.operation = $1 AND item.letter = given.letter
    RETURNING item.state
)
UPDATE bulk_operations
SET queued = queued + (SELECT count(*) FROM told WHERE state = 'queued'),
    skipped = skipped + (SELECT count(*) FROM told WHERE state = 'skipped'),
    changed_at = now()
WHERE id = $1
