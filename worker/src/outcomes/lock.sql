-- May this recorder write the queue now, and has the outbox any row? A job's row was committed before the job was sent,
-- so it is seen here by whoever has the job's record.
SELECT pg_try_advisory_xact_lock(hashtextextended($1, 0)), EXISTS (SELECT FROM outbox)
