-- Partitions of days before $2, attached or left over from a pass that was interrupted between detach and drop.
SELECT tables.relname::text AS name,
       parents.inhparent IS NOT NULL AS attached,
       COALESCE(parents.inhdetachpending, false) AS pending,
       GREATEST(tables.reltuples, 0)::bigint AS rows,
       pg_total_relation_size(tables.oid) AS bytes
FROM pg_class AS tables
LEFT JOIN pg_inherits AS parents ON parents.inhrelid = tables.oid
WHERE tables.relkind = 'r'
  AND tables.relnamespace = (SELECT relnamespace FROM pg_class WHERE oid = $1::text::regclass)
  AND tables.relname ~ ('^' || $1 || '_[0-9]{8}$')
  AND right(tables.relname, 8) < to_char($2::date, 'YYYYMMDD')
  AND (parents.inhparent IS NULL OR parents.inhparent = $1::text::regclass)
ORDER BY tables.relname
