UPDATE webhook_endpoints
SET disabled_at = NULL, disabled_reason = NULL, failing_since = NULL, failures = 0
WHERE id = $1
RETURNING tenant
