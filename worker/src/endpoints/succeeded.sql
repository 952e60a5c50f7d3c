UPDATE webhook_endpoints
SET failing_since = NULL, failures = 0, last_success_at = greatest(last_success_at, $2)
WHERE id = $1
