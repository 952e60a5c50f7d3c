-- Writes down that a token is used, once a minute at most however many servers there are.
UPDATE api_tokens
SET last_used_at = now()
WHERE id = $1 AND coalesce(last_used_at < now() - interval '1 minute', true)
