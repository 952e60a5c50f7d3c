SELECT tenant, url, secret_ciphertext, secret_key_id, disabled_reason
FROM webhook_endpoints
WHERE id = $1
