INSERT INTO webhook_endpoints (id, tenant, url, description, secret_ciphertext, secret_key_id)
VALUES ($1, $2, $3, $4, $5, $6)
