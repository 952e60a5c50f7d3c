-- Dead letters that were replayed or discarded before $1, at most $2; each leaves an audit row by $3.
WITH old AS (
    SELECT job_id
    FROM dead_letters
    WHERE state IN ('replayed', 'discarded') AND state_changed_at < $1
    LIMIT $2
    FOR UPDATE SKIP LOCKED
),
gone AS (
    DELETE FROM dead_letters
    USING old
    WHERE dead_letters.job_id = old.job_id
    RETURNING dead_letters.*
)
INSERT INTO audit_log (actor, action, subject, tenant, detail)
SELECT $3, 'retention.dead_letter', job_id::text, tenant,
       jsonb_build_object('queue', queue, 'kind', kind, 'state', state, 'error_class', error_class,
                          'died_at', died_at, 'state_changed_at', state_changed_at, 'replayed_as', replayed_as)
FROM gone
