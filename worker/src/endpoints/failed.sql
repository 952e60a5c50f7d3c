-- $3 failures, the last at $2. After a silence since $4 nobody knows how it was in between: counting begins anew.
UPDATE webhook_endpoints
SET failing_since = CASE WHEN failing_since IS NULL OR last_failure_at < $4 THEN $2 ELSE failing_since END,
    failures = $3 + CASE WHEN failing_since IS NULL OR last_failure_at < $4 THEN 0 ELSE failures END,
    last_failure_at = greatest(last_failure_at, $2)
WHERE id = $1
RETURNING failing_since, failures
