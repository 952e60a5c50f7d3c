-- Every token, newest first.
SELECT id, name, role, may_see_payloads, tenant, created_at, created_by, expires_at, last_used_at, revoked_at
FROM api_tokens
ORDER BY created_at DESC, id DESC
