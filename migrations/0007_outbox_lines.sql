-- Jobs in order may begin in the outbox too. Several relays carry rows into Redis side by side, so a row has to say which
-- line it goes in, and whether Redis is known to have it: until then no relay takes a later row of that line.
--
-- The line comes from the envelope, so a plain INSERT needs nothing new, and neither do replays of dead letters. Relays
-- of an older release do not look at it: order holds from when the last of them has stopped.

SET LOCAL lock_timeout = '2s';

ALTER TABLE outbox
    ADD COLUMN line   text,                            -- tenant and ordering key; NULL for jobs without an order
    ADD COLUMN placed boolean NOT NULL DEFAULT false;  -- Redis is known to have it; told of rows with a line alone

-- What the relay asks for each queue: has it rows in order waiting, and which are the oldest.
CREATE INDEX outbox_lines_waiting ON outbox (queue, created_at, id)
    WHERE line IS NOT NULL AND sent_at IS NULL AND NOT given_up;
-- What keeps later rows of a line back.
CREATE INDEX outbox_lines_open ON outbox (queue, line, created_at, id)
    WHERE line IS NOT NULL AND sent_at IS NOT NULL AND NOT placed;

-- An envelope that is none has no line: the relay tells what is wrong with it, and with keys that are too long.
CREATE FUNCTION flota_outbox_line() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    written jsonb;
BEGIN
    NEW.line := NULL;
    written := convert_from(NEW.envelope, 'UTF8')::jsonb;
    IF jsonb_typeof(written -> 'order') = 'string' THEN
        NEW.line := left(coalesce(written ->> 'tenant', '') || ':' || (written ->> 'order'), 300);
    END IF;
    RETURN NEW;
EXCEPTION WHEN data_exception OR program_limit_exceeded THEN
    RETURN NEW;
END
$$;

-- Most envelopes do not have the word in them and cost nothing.
CREATE TRIGGER outbox_line BEFORE INSERT OR UPDATE OF envelope ON outbox
    FOR EACH ROW WHEN (0 < position('"order"'::bytea IN NEW.envelope))
    EXECUTE FUNCTION flota_outbox_line();
