UPDATE webhook_endpoints
SET disabled_at = coalesce(disabled_at, now()), disabled_reason = coalesce(disabled_reason, $2)
WHERE id = $1
RETURNING tenant
