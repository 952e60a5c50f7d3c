-- Every partition and every plain table of ours, with its size.
SELECT COALESCE(parents.inhparent::regclass, tables.oid::regclass)::text AS "table",
       tables.relname::text AS partition,
       tables.reltuples::bigint AS rows,
       pg_total_relation_size(tables.oid) AS bytes
FROM pg_class AS tables
LEFT JOIN pg_inherits AS parents ON parents.inhrelid = tables.oid
WHERE tables.relkind = 'r'
  AND tables.relnamespace = (SELECT relnamespace FROM pg_class WHERE oid = 'outcomes'::regclass)
  AND tables.relname <> '_sqlx_migrations'
ORDER BY 1, tables.relname DESC
