DELETE FROM suppressions WHERE removed_at < now() - interval '1 day'
