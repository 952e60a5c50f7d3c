-- Writes down that Redis has these jobs, so that the rows behind them in their lines may follow.
UPDATE outbox SET placed = true FROM unnest($1::uuid[], $2::integer[]) AS seen (id, sends)
 WHERE outbox.id = seen.id AND outbox.sends = seen.sends
