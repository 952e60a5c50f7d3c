-- Takes rows whose job was lost, unless anything has happened to them since they were looked at.
WITH lost AS MATERIALIZED (
    SELECT outbox.id FROM outbox
      JOIN unnest($1::uuid[], $2::integer[]) AS seen (id, sends) ON outbox.id = seen.id AND outbox.sends = seen.sends
     WHERE outbox.sent_at IS NOT NULL
       FOR UPDATE OF outbox SKIP LOCKED
)
UPDATE outbox SET sent_at = clock_timestamp(), sends = sends + 1, refused = NULL, placed = false
  FROM lost WHERE outbox.id = lost.id
RETURNING outbox.id, outbox.envelope, outbox.sends, outbox.operation, outbox.key_window_ms, outbox.line,
    extract(epoch FROM outbox.created_at)::float8 AS created,
    CASE WHEN due_at IS NOT NULL THEN
        (extract(epoch FROM greatest('epoch', least(due_at, '9999-12-31 23:59:59Z'))) * 1000)::bigint
    END AS due_ms
