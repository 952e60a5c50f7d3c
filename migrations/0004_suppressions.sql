-- Who is not written to any more: addresses that bounce, people who opted out, push subscriptions that are gone.
--
-- Every worker keeps a copy in memory, so that a message costs no question to Postgres. A removed row therefore stays for
-- a day: the copies have to hear of it.

SET LOCAL lock_timeout = '5s';

CREATE TABLE suppressions (
    channel    text        NOT NULL CHECK (channel IN ('email', 'push', 'whatsapp', 'sms')),
    tenant     text        NOT NULL DEFAULT '',    -- '' holds for every tenant
    address    text        NOT NULL,               -- in the form of worker/src/suppressions/address.rs
    reason     text        NOT NULL,
    actor      text        NOT NULL,               -- who put it here: `cli:ana`, or the provider that said so
    created_at timestamptz NOT NULL DEFAULT now(),
    removed_at timestamptz,
    -- The transaction that changed the row last. A copy asks for what changed since the oldest transaction that was
    -- still open when it asked before; a time or a sequence would miss rows that are committed late.
    changed_in xid8        NOT NULL DEFAULT pg_current_xact_id(),
    PRIMARY KEY (channel, tenant, address)
);

CREATE INDEX suppressions_changed ON suppressions (changed_in);
-- The list, newest first.
CREATE INDEX suppressions_newest ON suppressions (created_at DESC) WHERE removed_at IS NULL;
CREATE INDEX suppressions_removed ON suppressions (removed_at) WHERE removed_at IS NOT NULL;
