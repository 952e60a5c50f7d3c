-- Takes the oldest waiting rows of a queue that are in order, but none behind a row of its line of which Redis is not
-- known to have it. Only right for one relay at a time: see the lock in batch.rs.
WITH next AS MATERIALIZED (
    SELECT id FROM outbox AS one
     WHERE queue = $1 AND line IS NOT NULL AND sent_at IS NULL AND NOT given_up
       AND NOT EXISTS (SELECT 1 FROM outbox AS earlier
                        WHERE earlier.queue = one.queue AND earlier.line = one.line
                          AND earlier.sent_at IS NOT NULL AND NOT earlier.placed
                          AND (earlier.created_at, earlier.id) < (one.created_at, one.id))
     ORDER BY created_at, id LIMIT $2
       FOR UPDATE SKIP LOCKED
)
UPDATE outbox SET sent_at = clock_timestamp(), sends = sends + 1, refused = NULL
  FROM next WHERE outbox.id = next.id
RETURNING outbox.id, outbox.envelope, outbox.sends, outbox.operation, outbox.key_window_ms, outbox.line,
    extract(epoch FROM outbox.created_at)::float8 AS created,
    CASE WHEN due_at IS NOT NULL THEN
        (extract(epoch FROM greatest('epoch', least(due_at, '9999-12-31 23:59:59Z'))) * 1000)::bigint
    END AS due_ms
