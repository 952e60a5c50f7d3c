-- Dead letters that died before $1 and that nobody has decided on, at most $2; each leaves an audit row by $3. Only
-- where an age for them is configured.
WITH old AS (
    SELECT job_id
    FROM dead_letters
    WHERE state = 'dead' AND died_at < $1
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
                          'died_at', died_at)
FROM gone
