-- What questions and transcriptions took, from the results of jobs and of their failed runs. $1 first moment, $2 tenant
-- or NULL, $3 how the rows are added up: tenant, model, kind, day. A row of a result that stands for several calls says
-- how many.
SELECT
    CASE $3 WHEN 'tenant' THEN coalesce(runs.tenant, '')
            WHEN 'kind' THEN runs.kind
            WHEN 'day' THEN to_char(runs.finished_at AT TIME ZONE 'UTC', 'YYYY-MM-DD')
            ELSE call->>'model' END AS name,
    sum(coalesce((call->>'calls')::bigint, 1))::bigint AS calls,
    coalesce(sum(coalesce((call->>'calls')::bigint, 1)) FILTER (WHERE call ? 'error'), 0)::bigint AS failed,
    coalesce(sum((call->>'prompt_tokens')::bigint), 0)::bigint AS prompt_tokens,
    coalesce(sum((call->>'completion_tokens')::bigint), 0)::bigint AS completion_tokens,
    coalesce(sum((call->>'seconds')::bigint), 0)::bigint AS audio_seconds,
    coalesce(sum((call->>'cost_usd')::double precision), 0) AS cost_usd
FROM (
    SELECT kind, tenant, finished_at, result FROM outcomes
    WHERE kind IN ('complete_chat', 'transcribe_audio') AND finished_at >= $1
    UNION ALL
    SELECT kind, tenant, finished_at, result FROM attempts
    WHERE kind IN ('complete_chat', 'transcribe_audio') AND finished_at >= $1
) AS runs
CROSS JOIN LATERAL jsonb_array_elements(
    CASE jsonb_typeof(runs.result->'usage'->'calls') WHEN 'array' THEN runs.result->'usage'->'calls' ELSE '[]' END
) AS call
WHERE $2::text IS NULL OR runs.tenant = $2
GROUP BY name
ORDER BY cost_usd DESC, name
