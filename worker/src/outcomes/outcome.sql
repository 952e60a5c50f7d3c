-- The end of one job. A job has one; the newest is taken in case a person added another.
SELECT job_id, run, attempt, queue, kind, tenant, status, error_class, code, error, provider, provider_ref, result,
       enqueued_at, started_at, finished_at, duration_ms, worker, replay_of
FROM outcomes
WHERE job_id = $1
ORDER BY finished_at DESC
LIMIT 1
