SELECT channel, tenant, address, false AS removed FROM suppressions WHERE removed_at IS NULL
