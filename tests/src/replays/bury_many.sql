-- Letters over ten days: six queues, 1,000 tenants, 100 ways to fail, payloads of 300 bytes.
INSERT INTO dead_letters (
    job_id, queue, kind, tenant, error_class, code, error, attempts, fingerprint, envelope, payload, died_at
)
SELECT gen_random_uuid(),
       (ARRAY['email', 'email', 'webhook', 'notification', 'llm', 'ocr'])[1 + n % 6],
       (ARRAY['send_email', 'send_email', 'deliver_webhook', 'send_sms', 'complete_chat', 'read_image'])[1 + n % 6],
       'tenant-' || n % 1000,
       (ARRAY['permanent', 'server_error', 'timeout', 'network'])[1 + n % 4],
       'e' || n % 100,
       format('the other side said no to request %s of %s', n % 977, n),
       1 + n % 10,
       'f' || lpad((n % 100)::text, 16, '0'),
       convert_to(format('{"v":1,"kind":"send_email","at":1,"payload":%s}', body), 'UTF8'),
       body::jsonb,
       timestamptz '2026-11-21 18:00:00Z' - n * (interval '10 days' / $1::bigint)
FROM generate_series(1, $1::bigint) AS n,
     LATERAL (SELECT format('{"to":["u%s@example.com"],"body":{"subject":"Order %s","text":"%s"}}',
                            n, n, repeat('lorem ipsum ', 18))) AS made (body)
