-- Jobs that have ended need not be sent again, whatever happens to Redis.
DELETE FROM outbox WHERE id = ANY($1)
