-- Dead letters of one queue. One that is there already stays as it is: it may have been replayed since.
INSERT INTO dead_letters (
    job_id, queue, kind, tenant, error_class, code, error, attempts, fingerprint, envelope, payload, died_at, replay_of
)
SELECT job_id, $1, kind, tenant, error_class, code, error, attempts, fingerprint, envelope, payload::jsonb, died_at,
       replay_of
FROM unnest(
    $2::uuid[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::int[], $9::text[], $10::bytea[],
    $11::text[], $12::timestamptz[], $13::uuid[]
) AS letters (
    job_id, kind, tenant, error_class, code, error, attempts, fingerprint, envelope, payload, died_at, replay_of
)
ON CONFLICT (job_id) DO NOTHING
