-- Removes rows that another job with the same key stands for.
DELETE FROM outbox USING unnest($1::uuid[], $2::integer[]) AS seen (id, sends)
 WHERE outbox.id = seen.id AND outbox.sends = seen.sends
