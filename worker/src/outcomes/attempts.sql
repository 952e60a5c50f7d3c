-- The failed earlier runs of one job.
SELECT run, attempt, status, error_class, code, error, provider, provider_ref, result, started_at,
       finished_at, duration_ms
FROM attempts
WHERE job_id = $1
ORDER BY run, finished_at
