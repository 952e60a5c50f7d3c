-- The line of repetitions that a letter belongs to: back to the first job by replay_of, forward by replayed_as. A
-- letter is replayed once, so the line has no branches.
WITH RECURSIVE earlier AS (
    SELECT job_id, replay_of, 0 AS step FROM dead_letters WHERE job_id = $1
    UNION ALL
    SELECT before.job_id, before.replay_of, earlier.step - 1
    FROM earlier JOIN dead_letters AS before ON before.job_id = earlier.replay_of
), later AS (
    SELECT replayed_as AS job_id, 1 AS step FROM dead_letters WHERE job_id = $1 AND replayed_as IS NOT NULL
    UNION ALL
    SELECT after.replayed_as, later.step + 1
    FROM later JOIN dead_letters AS after ON after.job_id = later.job_id
    WHERE after.replayed_as IS NOT NULL
), line AS (
    SELECT job_id, step FROM earlier UNION ALL SELECT job_id, step FROM later
)
SELECT line.job_id AS id, (SELECT status FROM outcomes WHERE outcomes.job_id = line.job_id LIMIT 1) AS status
FROM line
ORDER BY line.step
