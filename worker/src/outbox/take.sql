-- Takes the oldest waiting rows of a queue, without those in order. What another relay is taking is left to it.
WITH next AS MATERIALIZED (
    SELECT id FROM outbox
     WHERE queue = $1 AND sent_at IS NULL AND NOT given_up AND line IS NULL
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
