UPDATE webhook_endpoints
SET secret_ciphertext = $2, secret_key_id = $3, signature = $4, rotated_at = $5
WHERE id = $1
