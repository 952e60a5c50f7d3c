-- Jobs of one transaction. A delay begins now and not when the transaction began.
INSERT INTO outbox (id, queue, envelope, due_at, key_window_ms)
SELECT id, queue, envelope,
       coalesce(clock_timestamp() + after_ms * interval '1 millisecond', to_timestamp(at_ms / 1000.0)),
       window_ms
  FROM unnest($1::uuid[], $2::text[], $3::bytea[], $4::bigint[], $5::bigint[], $6::bigint[])
       AS job (id, queue, envelope, after_ms, at_ms, window_ms)
