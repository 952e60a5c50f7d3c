-- Webhook endpoints: either signature scheme, secrets that overlap during a rotation, a cap on deliveries at once, and
-- how deliveries have been going.
--
-- How they go is written sparsely: a failing endpoint once a minute and process, a healthy one once an hour.

SET LOCAL lock_timeout = '2s';

ALTER TABLE webhook_endpoints
    ADD COLUMN signature       text    NOT NULL DEFAULT 'v1' CHECK (signature IN ('v1', 'v1a')),
    ADD COLUMN rotated_at      timestamptz,                 -- when its newest secret was made; NULL for the first
    ADD COLUMN max_concurrent  integer CHECK (0 < max_concurrent),    -- in the whole fleet; NULL for no cap
    ADD COLUMN failing_since   timestamptz,                 -- first failure since the last success
    ADD COLUMN failures        bigint  NOT NULL DEFAULT 0,  -- since then
    ADD COLUMN last_failure_at timestamptz,
    ADD COLUMN last_success_at timestamptz;                 -- to within an hour

-- Secrets that sign beside the endpoint's own until the receiver has changed over.
CREATE TABLE webhook_old_secrets (
    id                bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    endpoint_id       text        NOT NULL REFERENCES webhook_endpoints (id) ON DELETE CASCADE,
    secret_ciphertext bytea       NOT NULL,
    secret_key_id     text        NOT NULL,
    valid_until       timestamptz NOT NULL
);

CREATE INDEX webhook_old_secrets_endpoint ON webhook_old_secrets (endpoint_id);
