-- Who may use the HTTP API. A token is shown once, when it is made; what is kept is its SHA-256.
--
-- A hash without salt and without work factor is right here: a token is 256 random bits, which nobody guesses, and not
-- a password, which people choose.

CREATE TABLE api_tokens (
    id               uuid        PRIMARY KEY,
    name             text        NOT NULL,
    role             text        NOT NULL CHECK (role IN ('viewer', 'operator', 'admin')),
    may_see_payloads boolean     NOT NULL DEFAULT false,
    tenant           text,                    -- NULL: the whole fleet
    hash             bytea       NOT NULL UNIQUE CHECK (octet_length(hash) = 32),
    created_at       timestamptz NOT NULL DEFAULT now(),
    created_by       text        NOT NULL,
    expires_at       timestamptz,             -- NULL: never
    last_used_at     timestamptz,             -- to within a minute
    revoked_at       timestamptz
);

-- A name is who did it in the audit log, so two tokens in use never share one.
CREATE UNIQUE INDEX api_tokens_name ON api_tokens (name) WHERE revoked_at IS NULL;
