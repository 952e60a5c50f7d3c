-- Two rotations at once must not lose the secret between them.
SELECT tenant FROM webhook_endpoints WHERE id = $1 FOR UPDATE
