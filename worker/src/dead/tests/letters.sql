-- Letters numbered from 1, the first the newest. Even ones are email, odd ones webhook.
INSERT INTO dead_letters (
    job_id, queue, kind, tenant, error_class, code, error, attempts, fingerprint, envelope, payload, died_at
)
SELECT lpad(to_hex(n), 32, '0')::uuid,
       CASE n % 2 WHEN 0 THEN 'email' ELSE 'webhook' END,
       CASE n % 2 WHEN 0 THEN 'send_email' ELSE 'deliver_webhook' END,
       CASE n % 3 WHEN 0 THEN 'acme' END,
       CASE n % 2 WHEN 0 THEN 'permanent' ELSE 'server_error' END,
       CASE n % 2 WHEN 0 THEN '550' ELSE '503' END,
       CASE n % 2 WHEN 0 THEN 'no mailbox 100% sure' ELSE 'the receiver is down' END,
       1 + n % 4,
       CASE n % 2 WHEN 0 THEN 'aaaa' ELSE 'bbbb' END,
       convert_to(format('{ "v":1,"kind":"send_email","at":7,"payload":{"to":["u%s@example.com"],"n":%s} }', n, n), 'UTF8'),
       jsonb_build_object('to', jsonb_build_array(format('u%s@example.com', n)), 'n', n),
       timestamptz '2026-11-21 18:00:00Z' - n * interval '1 second'
FROM generate_series(1, $1::bigint) AS n
