SELECT id, tenant, url, description, disabled_at, disabled_reason, created_at, signature, rotated_at, max_concurrent,
    failing_since, failures, last_failure_at, last_success_at,
    (SELECT max(valid_until) FROM webhook_old_secrets WHERE endpoint_id = webhook_endpoints.id) AS old_secret_until
FROM webhook_endpoints
WHERE ($1::text IS NULL OR tenant = $1) AND ($2::text IS NULL OR id = $2)
ORDER BY created_at DESC, id
