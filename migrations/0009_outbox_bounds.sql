-- How long an idempotency key is remembered has an end: ten years, as producers have it. Redis refuses times that are
-- far longer, and by then other parts of a batch were written.
--
-- And a row whose envelope is mended is looked at again for its line, also when the new envelope has none.

SET LOCAL lock_timeout = '2s';

-- Nobody writes a longer one between the two statements.
LOCK TABLE outbox IN ACCESS EXCLUSIVE MODE;

UPDATE outbox SET key_window_ms = 316224000000 WHERE 316224000000 < key_window_ms;

ALTER TABLE outbox ADD CONSTRAINT outbox_key_window_ms_longest CHECK (key_window_ms <= 316224000000);

DROP TRIGGER outbox_line ON outbox;

-- Most envelopes do not have the word in them and cost nothing.
CREATE TRIGGER outbox_line BEFORE INSERT ON outbox
    FOR EACH ROW WHEN (0 < position('"order"'::bytea IN NEW.envelope))
    EXECUTE FUNCTION flota_outbox_line();

CREATE TRIGGER outbox_line_again BEFORE UPDATE OF envelope ON outbox
    FOR EACH ROW WHEN (OLD.line IS NOT NULL OR 0 < position('"order"'::bytea IN NEW.envelope))
    EXECUTE FUNCTION flota_outbox_line();
