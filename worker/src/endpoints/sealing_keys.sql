SELECT DISTINCT secret_key_id FROM webhook_endpoints ORDER BY secret_key_id
