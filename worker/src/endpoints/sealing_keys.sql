SELECT secret_key_id FROM webhook_endpoints
UNION
SELECT secret_key_id FROM webhook_old_secrets WHERE now() < valid_until
ORDER BY secret_key_id
