COPY {table} (
    job_id, run, attempt, queue, kind, tenant, status, enqueued_at, started_at, finished_at, duration_ms, worker{rare}
) FROM STDIN (FORMAT binary)
