-- What language models cost: sums over a month read the rows of these calls alone, and not all of history.
--
-- The index has no entry for any other kind, so their rows are as cheap to write as before. Days that are over are
-- indexed one by one first. The lock on the whole table comes last and lasts for the newest days only; meanwhile the
-- recorder waits, and no job does.

SET LOCAL lock_timeout = '5s';

DO $$
DECLARE
    old record;
BEGIN
    FOR old IN
        SELECT pg_class.relname AS partition
        FROM pg_inherits JOIN pg_class ON pg_class.oid = pg_inherits.inhrelid
        WHERE pg_inherits.inhparent IN ('outcomes'::regclass, 'attempts'::regclass)
            AND right(pg_class.relname, 8) < to_char((now() AT TIME ZONE 'UTC')::date - 1, 'YYYYMMDD')
        ORDER BY right(pg_class.relname, 8)
    LOOP
        EXECUTE format('CREATE INDEX ON %I (finished_at) WHERE kind = ''complete_chat''', old.partition);
    END LOOP;
END
$$;

-- Takes over what is there already, and builds the rest. Partitions of later days are born with it.
CREATE INDEX outcomes_language_models ON outcomes (finished_at) WHERE kind = 'complete_chat';
CREATE INDEX attempts_language_models ON attempts (finished_at) WHERE kind = 'complete_chat';
