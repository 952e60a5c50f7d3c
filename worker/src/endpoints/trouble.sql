SELECT count(*) AS failing, min(failing_since) AS since
FROM webhook_endpoints
WHERE disabled_at IS NULL AND failing_since < $1
