-- A new token. $6 is the SHA-256 of its text.
INSERT INTO api_tokens (id, name, role, may_see_payloads, tenant, hash, created_by, expires_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
RETURNING id, name, role, may_see_payloads, tenant, created_at, created_by, expires_at, last_used_at, revoked_at
