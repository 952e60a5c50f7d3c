-- Of these ended jobs, those that repeat a dead letter: the letter is replayed, and the job's row and its own letter,
-- if it died again, say what they repeat. $2 is the day of the oldest row, so that older partitions are left alone.
WITH repeated AS (
    UPDATE dead_letters
    SET state = 'replayed', state_changed_at = now()
    WHERE state = 'replaying' AND replayed_as = ANY($1::uuid[])
    RETURNING job_id, replayed_as
), told AS (
    UPDATE outcomes
    SET replay_of = repeated.job_id
    FROM repeated
    WHERE outcomes.job_id = repeated.replayed_as AND $2::date::timestamp AT TIME ZONE 'UTC' <= outcomes.finished_at
)
UPDATE dead_letters AS again
SET replay_of = repeated.job_id
FROM repeated
WHERE again.job_id = repeated.replayed_as
