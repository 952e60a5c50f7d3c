-- Revokes one token that is in use: by its id, or by its name.
UPDATE api_tokens
SET revoked_at = now()
WHERE revoked_at IS NULL AND (id = $1 OR ($1 IS NULL AND name = $2))
RETURNING id, name, role, may_see_payloads, tenant, created_at, created_by, expires_at, last_used_at, revoked_at
