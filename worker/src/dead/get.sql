-- One letter with its envelope.
SELECT job_id, queue, kind, tenant, error_class, code, error, attempts, fingerprint, envelope, died_at, state,
       state_changed_at, replay_of, replayed_as
FROM dead_letters
WHERE job_id = $1
