INSERT INTO webhook_endpoints
    (id, tenant, url, description, secret_ciphertext, secret_key_id, signature, max_concurrent)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
