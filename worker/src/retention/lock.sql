-- One process at a time; the lock goes with the session.
SELECT pg_try_advisory_lock(hashtextextended('flota_retention', 0))
