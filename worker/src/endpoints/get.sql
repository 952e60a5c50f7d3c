SELECT tenant, url, secret_ciphertext, secret_key_id, disabled_reason, max_concurrent, failing_since,
    ARRAY(SELECT secret_ciphertext FROM webhook_old_secrets WHERE endpoint_id = $1 ORDER BY id DESC) AS old_ciphertexts,
    ARRAY(SELECT secret_key_id FROM webhook_old_secrets WHERE endpoint_id = $1 ORDER BY id DESC) AS old_key_ids,
    ARRAY(SELECT valid_until FROM webhook_old_secrets WHERE endpoint_id = $1 ORDER BY id DESC) AS old_ends
FROM webhook_endpoints
WHERE id = $1
