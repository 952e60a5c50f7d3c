-- Dead letters, newest first, behind a position.
SELECT job_id, queue, kind, tenant, error_class, error, attempts, died_at, state
FROM dead_letters
WHERE ($1::text IS NULL OR queue = $1)
  AND ($2::text IS NULL OR kind = $2)
  AND ($3::text IS NULL OR tenant = $3)
  AND ($4::text IS NULL OR error_class = $4)
  AND ($5::text IS NULL OR state = $5)
  AND ($6::text IS NULL OR fingerprint = $6)
  AND ($7::jsonb IS NULL OR payload @> $7)
  AND died_at <= $8
  AND (died_at, job_id) < ($8, $9)
ORDER BY died_at DESC, job_id DESC
LIMIT $10
