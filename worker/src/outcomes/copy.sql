COPY {table} (
    job_id, run, attempt, queue, kind, tenant, status, error_class, code, error, provider, provider_ref, result,
    enqueued_at, started_at, finished_at, duration_ms, worker, replay_of
) FROM STDIN (FORMAT binary)
