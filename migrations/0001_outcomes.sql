-- What became of every job, what has to be looked at by a person, and who may be called on whose behalf.
--
-- Nothing here is on the path of a running job: workers settle in Redis, and the recorder copies from there.

-- ---------------------------------------------------------------------------------------------------------------
-- History: one row per finished job (with its last run) and one per failed earlier run.
--
-- Partitioned by day of finished_at, so that retention drops a table instead of deleting rows. finished_at is Redis
-- time from the stream entry: a repeated batch carries the same value, so the key finds the repetition.
--
-- Each index is paid for by every row (the binary COPY alone writes 110,000 rows/s on two cores, with one more btree
-- about 90,000), so there are only those that a command cannot do without:
--   primary key             find a job; recognise a repeated batch
--   outcomes_finished_at    newest first, whatever the filter; new values go to the right edge, the cheapest insert
--   outcomes_not_succeeded  the same for what went wrong: few rows, so almost free, and rare among many
-- There is none by queue, kind or tenant: a list reads the newest rows and filters, and gives up after 30 s.
-- ---------------------------------------------------------------------------------------------------------------

CREATE TABLE outcomes (
    job_id       uuid        NOT NULL,
    run          integer     NOT NULL,    -- number of the last run; 0 when it never ran
    attempt      integer     NOT NULL,    -- number of the try
    queue        text        NOT NULL,
    kind         text        NOT NULL,    -- empty when the envelope could not be read
    tenant       text,
    status       text        NOT NULL CHECK (status IN ('succeeded', 'dead', 'cancelled', 'expired')),
    error_class  text,
    code         text,                    -- the other side's own code
    error        text,
    provider     text,
    provider_ref text,                    -- the provider's name for what was done
    result       jsonb,
    enqueued_at  timestamptz,             -- by the producer's clock, for people
    started_at   timestamptz,             -- finished_at minus the duration; NULL when the run never started
    finished_at  timestamptz NOT NULL,
    duration_ms  double precision NOT NULL,    -- 0 when no processor ran
    worker       text        NOT NULL,    -- or who cancelled it
    replay_of    uuid,                    -- the dead letter that this job repeated
    PRIMARY KEY (job_id, run, finished_at)
) PARTITION BY RANGE (finished_at);

CREATE INDEX outcomes_finished_at ON outcomes (finished_at);
CREATE INDEX outcomes_not_succeeded ON outcomes (status, finished_at) WHERE status <> 'succeeded';

-- The same columns, so that one encoder writes both. Read by job only: no further index.
CREATE TABLE attempts (
    job_id       uuid        NOT NULL,
    run          integer     NOT NULL,
    attempt      integer     NOT NULL,
    queue        text        NOT NULL,
    kind         text        NOT NULL,
    tenant       text,
    status       text        NOT NULL CHECK (status = 'retried'),
    error_class  text,
    code         text,
    error        text,
    provider     text,
    provider_ref text,
    result       jsonb,
    enqueued_at  timestamptz,
    started_at   timestamptz,
    finished_at  timestamptz NOT NULL,
    duration_ms  double precision NOT NULL,    -- 0 when no processor ran
    worker       text        NOT NULL,
    replay_of    uuid,
    PRIMARY KEY (job_id, run, finished_at)
) PARTITION BY RANGE (finished_at);

-- Makes the partitions of `days` days from `first_day` on (UTC), and answers how many were missing.
--
-- Writers are not held up: ATTACH takes SHARE UPDATE EXCLUSIVE on the parent, which inserts do not conflict with
-- (CREATE TABLE ... PARTITION OF would take ACCESS EXCLUSIVE), and the new table is empty. Calls at the same time
-- wait for each other only while something is missing; lock_timeout ends a wait that would become a queue.
CREATE FUNCTION flota_ensure_partitions(first_day date, days integer) RETURNS integer
    LANGUAGE plpgsql
    SET timezone = 'UTC'
    SET lock_timeout = '5s'
AS $$
DECLARE
    missing record;
    made integer := 0;
BEGIN
    IF NOT EXISTS (SELECT FROM flota_missing_partitions(first_day, days)) THEN
        RETURN 0;
    END IF;
    PERFORM pg_advisory_xact_lock(hashtextextended('flota_ensure_partitions', 0));
    -- Asked again under the lock: another session may have made them while we waited.
    FOR missing IN SELECT * FROM flota_missing_partitions(first_day, days) LOOP
        EXECUTE format('CREATE TABLE %I (LIKE %I INCLUDING ALL)', missing.partition, missing.parent);
        EXECUTE format(
            'ALTER TABLE %I ATTACH PARTITION %I FOR VALUES FROM (%L) TO (%L)',
            missing.parent, missing.partition, missing.day::timestamptz, (missing.day + 1)::timestamptz
        );
        made := made + 1;
    END LOOP;
    RETURN made;
END
$$;

-- Which partitions are not attached yet: outcomes_20261121, attempts_20261121, ...
CREATE FUNCTION flota_missing_partitions(first_day date, days integer)
    RETURNS TABLE (parent text, partition text, day date)
    LANGUAGE sql
    VOLATILE
AS $$
    SELECT wanted.parent, wanted.partition, wanted.day
    FROM (
        SELECT parents.parent, parents.parent || to_char(first_day + n, '_YYYYMMDD') AS partition, first_day + n AS day
        FROM (VALUES ('outcomes'), ('attempts')) AS parents (parent), generate_series(0, days - 1) AS n
    ) AS wanted
    WHERE NOT EXISTS (
        SELECT FROM pg_inherits JOIN pg_class ON pg_class.oid = pg_inherits.inhrelid
        WHERE pg_inherits.inhparent = wanted.parent::regclass AND pg_class.relname = wanted.partition
    )
$$;

-- ---------------------------------------------------------------------------------------------------------------
-- Dead letters: kept until a person or an operation decides, so neither partitioned nor subject to retention.
-- ---------------------------------------------------------------------------------------------------------------

CREATE TABLE dead_letters (
    job_id           uuid        PRIMARY KEY,
    queue            text        NOT NULL,
    kind             text        NOT NULL,
    tenant           text,
    error_class      text,
    code             text,
    error            text,
    attempts         integer     NOT NULL,
    fingerprint      text        NOT NULL,    -- the same for what failed alike; see fingerprint.rs
    envelope         bytea       NOT NULL,    -- byte for byte, so that a replay is the same job
    payload          jsonb,                   -- a copy for search; NULL where jsonb cannot hold it
    died_at          timestamptz NOT NULL,
    state            text        NOT NULL DEFAULT 'dead'
                                 CHECK (state IN ('dead', 'replaying', 'replayed', 'discarded')),
    state_changed_at timestamptz,
    replay_of        uuid,                    -- the dead letter that this one repeated
    replayed_as      uuid                     -- the job that repeats this one
);

-- Both are for the letters that wait for a decision: the list, newest first, and the counts per queue.
CREATE INDEX dead_letters_waiting ON dead_letters (died_at) WHERE state = 'dead';
CREATE INDEX dead_letters_waiting_by_queue ON dead_letters (queue) WHERE state = 'dead';

-- ---------------------------------------------------------------------------------------------------------------
-- Whom we work for, and with which credentials. Secrets are encrypted by the application; the key is not in here.
-- ---------------------------------------------------------------------------------------------------------------

CREATE TABLE tenants (
    id          uuid        PRIMARY KEY DEFAULT gen_random_uuid(),
    name        text        NOT NULL UNIQUE,    -- the word in envelopes
    created_at  timestamptz NOT NULL DEFAULT now(),
    disabled_at timestamptz
);

CREATE TABLE tenant_integrations (
    id          uuid        PRIMARY KEY DEFAULT gen_random_uuid(),
    tenant_id   uuid        NOT NULL REFERENCES tenants (id),
    provider    varchar(50) NOT NULL,
    -- Refuses what was not encrypted: a plain credential has neither of these members.
    credentials jsonb       NOT NULL CHECK (credentials ?& ARRAY['key_id', 'ciphertext']),
    config      jsonb       NOT NULL DEFAULT '{}',
    is_active   boolean     NOT NULL DEFAULT true,
    created_at  timestamptz NOT NULL DEFAULT now()
);

-- One credential in use per tenant and provider; rotation keeps the old one beside it, inactive.
CREATE UNIQUE INDEX tenant_integrations_active ON tenant_integrations (tenant_id, provider) WHERE is_active;

CREATE TABLE webhook_endpoints (
    id                text        PRIMARY KEY,
    tenant            text,
    url               text        NOT NULL,
    secret_ciphertext bytea       NOT NULL,
    secret_key_id     text        NOT NULL,    -- which encryption key reads it
    description       text,
    disabled_at       timestamptz,
    disabled_reason   text,
    created_at        timestamptz NOT NULL DEFAULT now()
);

-- Who did what by hand. Rows are only ever added.
CREATE TABLE audit_log (
    id      bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at      timestamptz NOT NULL DEFAULT now(),
    actor   text        NOT NULL,
    action  text        NOT NULL,    -- for example dead.replay
    subject text        NOT NULL,    -- for example a job id, a queue
    tenant  text,
    detail  jsonb       NOT NULL DEFAULT '{}'
);
