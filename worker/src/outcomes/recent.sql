-- Finished jobs, newest first, behind a position. A whole settled batch shares its finishing time, so the job id takes
-- part in the position. `finished_at <= $5` follows from the line below it, and lets partitions be left out.
SELECT job_id, run, attempt, queue, kind, tenant, status, error_class, code, error, provider, provider_ref, result,
       enqueued_at, started_at, finished_at, duration_ms, worker, replay_of
FROM outcomes
WHERE ($1::text IS NULL OR queue = $1)
  AND ($2::text IS NULL OR kind = $2)
  AND ($3::text IS NULL OR tenant = $3)
  AND ($4::text IS NULL OR status = $4)
  AND finished_at <= $5
  AND (finished_at, job_id) < ($5, $6)
ORDER BY finished_at DESC, job_id DESC
LIMIT $7
