SELECT id, tenant, url, description, disabled_reason, created_at
FROM webhook_endpoints
WHERE $1::text IS NULL OR tenant = $1
ORDER BY created_at DESC, id
