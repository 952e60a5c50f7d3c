-- Looking for dead letters among a million of them, and deciding about many at once.

SET LOCAL lock_timeout = '5s';

-- ---------------------------------------------------------------------------------------------------------------
-- Indexes for the letters that wait for a decision, newest first, one per filter. All are partial: a letter that was
-- decided about costs nothing here any more, however long it is kept.
-- ---------------------------------------------------------------------------------------------------------------

CREATE INDEX dead_letters_newest ON dead_letters (died_at DESC, job_id DESC) WHERE state = 'dead';
CREATE INDEX dead_letters_by_queue ON dead_letters (queue, died_at DESC, job_id DESC) WHERE state = 'dead';
CREATE INDEX dead_letters_by_kind ON dead_letters (kind, died_at DESC, job_id DESC) WHERE state = 'dead';
CREATE INDEX dead_letters_by_tenant ON dead_letters (tenant, died_at DESC, job_id DESC)
    WHERE state = 'dead' AND tenant IS NOT NULL;
CREATE INDEX dead_letters_by_class ON dead_letters (error_class, died_at DESC, job_id DESC) WHERE state = 'dead';
CREATE INDEX dead_letters_by_code ON dead_letters (code, died_at DESC, job_id DESC)
    WHERE state = 'dead' AND code IS NOT NULL;

CREATE INDEX dead_letters_by_fingerprint ON dead_letters (fingerprint, died_at DESC, job_id DESC) WHERE state = 'dead';

-- Groups are counted from these alone. Without the time in them equal entries are stored once, so that a million
-- letters are 7 MB to read and not 50.
CREATE INDEX dead_letters_groups ON dead_letters (fingerprint) WHERE state = 'dead';
CREATE INDEX dead_letters_groups_of_queue ON dead_letters (queue, fingerprint) WHERE state = 'dead';
CREATE INDEX dead_letters_groups_of_kind ON dead_letters (kind, fingerprint) WHERE state = 'dead';
CREATE INDEX dead_letters_groups_of_tenant ON dead_letters (tenant, fingerprint)
    WHERE state = 'dead' AND tenant IS NOT NULL;
CREATE INDEX dead_letters_groups_of_class ON dead_letters (error_class, fingerprint) WHERE state = 'dead';

-- Taken over by dead_letters_newest and dead_letters_by_queue.
DROP INDEX dead_letters_waiting;
DROP INDEX dead_letters_waiting_by_queue;

-- Whatever its state: lists of decided letters.
CREATE INDEX dead_letters_any_state ON dead_letters (state, died_at DESC, job_id DESC) WHERE state <> 'dead';

-- From a job to the letter that it repeats: asked for every recorded batch, and nearly always empty.
CREATE INDEX dead_letters_replaying ON dead_letters (replayed_as) WHERE state = 'replaying';
-- The same for lineage, whatever became of it; and the way forward from a letter to those that repeated it.
CREATE UNIQUE INDEX dead_letters_replayed_as ON dead_letters (replayed_as) WHERE replayed_as IS NOT NULL;

-- ---------------------------------------------------------------------------------------------------------------
-- Bulk operations: what a person decided about many letters. The selection is frozen when the operation is made:
-- letters that die later are not part of it, whatever its filter says.
-- ---------------------------------------------------------------------------------------------------------------

CREATE TABLE bulk_operations (
    id           uuid        PRIMARY KEY,
    kind         text        NOT NULL CHECK (kind IN ('replay', 'discard')),
    filter       jsonb       NOT NULL,    -- as it was asked, for people
    reason       text,
    actor        text        NOT NULL,
    rate         double precision CHECK (rate > 0),      -- letters per second; NULL: as fast as it goes
    stage_size   integer     CHECK (stage_size > 0),     -- letters after which outcomes are waited for; NULL: never
    max_failures integer     CHECK (max_failures >= 0),  -- replays that may die before it stops
    state        text        NOT NULL DEFAULT 'running'
                             CHECK (state IN ('running', 'paused', 'aborted', 'done', 'failed')),
    note         text,                                   -- why it stopped
    matched      bigint      NOT NULL,                   -- letters in the selection
    queued       bigint      NOT NULL DEFAULT 0,         -- carried out: put into the outbox, or discarded
    skipped      bigint      NOT NULL DEFAULT 0,         -- somebody else decided about them first
    failed       bigint      NOT NULL DEFAULT 0,         -- could not be carried out
    deaths       bigint      NOT NULL DEFAULT 0,         -- replays that died since it was made or resumed
    created_at   timestamptz NOT NULL DEFAULT now(),
    changed_at   timestamptz NOT NULL DEFAULT now()
);

CREATE INDEX bulk_operations_newest ON bulk_operations (created_at DESC, id DESC);

CREATE TABLE bulk_items (
    operation uuid    NOT NULL REFERENCES bulk_operations (id) ON DELETE CASCADE,
    letter    uuid    NOT NULL,           -- a dead_letters.job_id; the letter may be dropped before this row
    position  bigint  NOT NULL,           -- oldest letter first
    state     text    NOT NULL DEFAULT 'pending' CHECK (state IN ('pending', 'queued', 'failed', 'skipped')),
    queued_as uuid,                       -- the job that repeats it
    envelope  bytea,                      -- what is sent instead of the letter's own, where a person edited it
    ended     text,                       -- the outcome of the repetition, where stages wait for it
    note      text,                       -- why it failed or was skipped
    PRIMARY KEY (operation, letter)
);

CREATE INDEX bulk_items_pending ON bulk_items (operation, position) WHERE state = 'pending';
CREATE INDEX bulk_items_letter ON bulk_items (letter);
-- Those whose outcome a stage waits for.
CREATE INDEX bulk_items_unjudged ON bulk_items (operation) WHERE state = 'queued' AND ended IS NULL;
