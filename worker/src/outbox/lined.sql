-- Writes down the line of rows whose envelope the trigger could not read, and lets them wait again: in order, this time.
UPDATE outbox SET sent_at = NULL, line = seen.line, placed = false
  FROM unnest($1::uuid[], $2::integer[], $3::text[]) AS seen (id, sends, line)
 WHERE outbox.id = seen.id AND outbox.sends = seen.sends
