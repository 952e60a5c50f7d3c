-- What is known of the token with this hash.
SELECT id, name, role, may_see_payloads, tenant, hash,
       coalesce(expires_at <= now(), false) AS expired,
       revoked_at IS NOT NULL AS revoked,
       coalesce(last_used_at < now() - interval '1 minute', true) AS use_is_old
FROM api_tokens
WHERE hash = $1
