-- A job of acme whose first run failed, one of globex, one whose result has no usage, and a transcription that was repeated,
-- of many calls.
SELECT flota_ensure_partitions('2026-11-20', 1);
INSERT INTO attempts (job_id, run, attempt, queue, kind, tenant, status, result, finished_at, duration_ms, worker)
VALUES ('00000000-0000-0000-0000-000000000001', 1, 1, 'llm', 'complete_chat', 'acme', 'retried',
    '{"usage":{"calls":[{"model":"haiku","prompt_tokens":0,"completion_tokens":0,"cost_usd":0,"error":"timeout"}]}}',
    '2026-11-20T10:00:00Z', 1, 'w');
INSERT INTO outcomes (job_id, run, attempt, queue, kind, tenant, status, result, finished_at, duration_ms, worker)
VALUES ('00000000-0000-0000-0000-000000000001', 2, 2, 'llm', 'complete_chat', 'acme', 'succeeded',
    '{"usage":{"calls":[{"model":"haiku","prompt_tokens":10,"completion_tokens":2,"cost_usd":0.125},
                        {"model":"sonnet","prompt_tokens":10,"completion_tokens":2,"cost_usd":0.5}]}}',
    '2026-11-20T10:00:05Z', 1, 'w'),
    ('00000000-0000-0000-0000-000000000002', 1, 1, 'llm', 'complete_chat', 'globex', 'succeeded',
    '{"usage":{"calls":[{"model":"haiku","prompt_tokens":10,"completion_tokens":2,"cost_usd":0.125}]}}',
    '2026-11-20T10:00:06Z', 1, 'w'),
    ('00000000-0000-0000-0000-000000000003', 1, 1, 'llm', 'complete_chat', 'globex', 'succeeded',
    '{"answer":"yes"}', '2026-11-20T10:00:07Z', 1, 'w');
INSERT INTO attempts (job_id, run, attempt, queue, kind, tenant, status, result, finished_at, duration_ms, worker)
VALUES ('00000000-0000-0000-0000-000000000004', 1, 1, 'transcription', 'transcribe_audio', 'globex', 'retried',
    '{"usage":{"calls":[{"model":"whisper-1","seconds":0,"cost_usd":0,"error":"server_error"}]}}',
    '2026-11-20T11:00:00Z', 1, 'w');
INSERT INTO outcomes (job_id, run, attempt, queue, kind, tenant, status, result, finished_at, duration_ms, worker)
VALUES ('00000000-0000-0000-0000-000000000004', 2, 2, 'transcription', 'transcribe_audio', 'globex', 'succeeded',
    '{"text":"Hola","usage":{"calls":[{"model":"whisper-1","seconds":14,"cost_usd":0.0625,"calls":40}]}}',
    '2026-11-20T11:00:05Z', 1, 'w');
