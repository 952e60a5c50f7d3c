-- Queues that have rows waiting, and whether any of those are in order: one step through an index for each, however many
-- rows they have.
WITH RECURSIVE waiting AS (
    (SELECT queue FROM outbox WHERE sent_at IS NULL AND NOT given_up ORDER BY queue LIMIT 1)
    UNION ALL
    SELECT (SELECT next.queue FROM outbox AS next
             WHERE next.sent_at IS NULL AND NOT next.given_up AND waiting.queue < next.queue
             ORDER BY next.queue LIMIT 1)
      FROM waiting WHERE waiting.queue IS NOT NULL
)
SELECT queue, EXISTS (SELECT 1 FROM outbox AS lined
                       WHERE lined.queue = waiting.queue AND lined.line IS NOT NULL
                         AND lined.sent_at IS NULL AND NOT lined.given_up) AS in_order
  FROM waiting WHERE queue IS NOT NULL
