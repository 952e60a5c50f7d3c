-- The second bound leaves out rows from the future: a database that was restored elsewhere counts transactions anew.
SELECT channel, tenant, address, removed_at IS NOT NULL AS removed
FROM suppressions
WHERE $1::xid8 <= changed_in AND changed_in < pg_snapshot_xmax(pg_current_snapshot())
