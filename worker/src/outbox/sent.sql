-- The next rows that were sent at least $1 milliseconds ago, oldest first, behind those of the last page.
SELECT id, queue, sends, sent_at, line IS NOT NULL AND NOT placed AS keeps_others_back FROM outbox
 WHERE sent_at IS NOT NULL AND sent_at < clock_timestamp() - $1 * interval '1 millisecond'
   AND (sent_at, id) > ($2, $3)
 ORDER BY sent_at, id LIMIT $4
