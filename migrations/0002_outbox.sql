-- Jobs that were enqueued inside a database transaction, on their way into Redis and until their outcome is known.
--
-- A producer inserts a row in its own transaction, or a replay of dead letters does. The relay, a loop in every worker
-- process, puts the job into Redis. The recorder deletes the row in the transaction that writes the job's terminal
-- outcome. So while a row is here the job is not known to have ended, and if Redis loses everything it can be sent
-- again (worker/src/outbox.rs holds the argument why that never runs a finished job again).
--
-- A plain INSERT is enough to enqueue; docs/transactional-enqueue.md is the recipe. Columns with defaults are none of
-- a producer's business.

CREATE TABLE outbox (
    id            uuid        PRIMARY KEY,            -- the job's id, minted here, so sending twice is sending once
    queue         text        NOT NULL,
    envelope      bytea       NOT NULL,               -- the bytes that go into Redis, untouched
    due_at        timestamptz,                        -- NULL: at once
    key_window_ms bigint      CHECK (0 < key_window_ms), -- how long an idempotency key is remembered; NULL: 24 hours
    operation     uuid,                               -- the bulk operation that put it here, NULL for producers
    created_at    timestamptz NOT NULL DEFAULT now(),
    sent_at       timestamptz,                        -- when the relay last took it to Redis; NULL while it waits
    sends         integer     NOT NULL DEFAULT 0,     -- how often it was taken: more than once after a loss
    refused       text,                               -- why Redis did not take it, for people
    given_up      boolean     NOT NULL DEFAULT false  -- the fault is in the row: no relay tries again before a person
                                                      -- has mended it (UPDATE outbox SET given_up = false, ...)
);

-- What the relay asks: which queues have rows waiting, and the oldest of one queue. A queue that is full is then left
-- alone without stepping over its rows, and never holds up the others. Sent rows are not in it, so when all is well it
-- is empty.
CREATE INDEX outbox_waiting ON outbox (queue, created_at, id) WHERE sent_at IS NULL AND NOT given_up;
-- What the search for lost jobs walks through, oldest first.
CREATE INDEX outbox_sent ON outbox (sent_at, id) WHERE sent_at IS NOT NULL;
-- What doctor shows.
CREATE INDEX outbox_refused ON outbox (created_at) WHERE refused IS NOT NULL;
-- How far a bulk operation has come. Rows of producers are not in it.
CREATE INDEX outbox_operation ON outbox (operation) WHERE operation IS NOT NULL;

-- Wakes the relays; one notification per transaction reaches them at its COMMIT, however many statements it had. A poll
-- stands behind it, so a lost notification costs a second.
CREATE FUNCTION flota_outbox_ring() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('flota_outbox', '');
    RETURN NULL;
END
$$;

CREATE TRIGGER outbox_ring AFTER INSERT ON outbox FOR EACH STATEMENT EXECUTE FUNCTION flota_outbox_ring();
