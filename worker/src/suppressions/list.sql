SELECT channel, tenant, address, reason, actor, created_at
FROM suppressions
WHERE removed_at IS NULL
    AND ($1::text IS NULL OR channel = $1)
    AND ($2::text IS NULL OR tenant = $2)
    AND ($3::text IS NULL OR address = $3)
ORDER BY created_at DESC, channel, tenant, address
LIMIT $4
