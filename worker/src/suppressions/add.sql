INSERT INTO suppressions (channel, tenant, address, reason, actor)
SELECT $1, $2, given.address, $4, $5
FROM unnest($3::text[]) AS given (address)
ON CONFLICT (channel, tenant, address) DO UPDATE
SET reason = excluded.reason, actor = excluded.actor, created_at = now(), removed_at = NULL,
    changed_in = pg_current_xact_id()
WHERE suppressions.removed_at IS NOT NULL
