-- The secret of an endpoint becomes an old one, and those whose time is over go.
WITH over AS (
    DELETE FROM webhook_old_secrets WHERE endpoint_id = $1 AND valid_until <= $2
)
INSERT INTO webhook_old_secrets (endpoint_id, secret_ciphertext, secret_key_id, valid_until)
SELECT id, secret_ciphertext, secret_key_id, $3 FROM webhook_endpoints WHERE id = $1
