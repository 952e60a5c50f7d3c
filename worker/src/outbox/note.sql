-- Writes down that Redis did not take these jobs: they wait again, and those with a fault of their own are given up.
UPDATE outbox SET sent_at = NULL, refused = noted.refused, given_up = noted.given_up
  FROM unnest($1::uuid[], $2::integer[], $3::text[], $4::boolean[]) AS noted (id, sends, refused, given_up)
 WHERE outbox.id = noted.id AND outbox.sends = noted.sends
