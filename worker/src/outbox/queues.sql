-- Queues that have rows waiting: one step through the index for each, however many rows they have.
WITH RECURSIVE waiting AS (
    (SELECT queue FROM outbox WHERE sent_at IS NULL AND NOT given_up ORDER BY queue LIMIT 1)
    UNION ALL
    SELECT (SELECT next.queue FROM outbox AS next
             WHERE next.sent_at IS NULL AND NOT next.given_up AND waiting.queue < next.queue
             ORDER BY next.queue LIMIT 1)
      FROM waiting WHERE waiting.queue IS NOT NULL
)
SELECT queue FROM waiting WHERE queue IS NOT NULL
