-- Whether anybody could be let in.
SELECT EXISTS (SELECT FROM api_tokens WHERE revoked_at IS NULL AND (expires_at IS NULL OR now() < expires_at))
