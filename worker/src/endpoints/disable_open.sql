-- Only one that is still open, and with $4 only one that has been failing since then: a success meanwhile saves it.
UPDATE webhook_endpoints
SET disabled_at = $2, disabled_reason = $3
WHERE id = $1 AND disabled_at IS NULL AND ($4::timestamptz IS NULL OR failing_since <= $4)
RETURNING tenant
