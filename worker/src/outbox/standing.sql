-- How the outbox stands, for people. Each count reads an index that is small when all is well.
SELECT (SELECT count(*) FROM outbox WHERE sent_at IS NULL AND NOT given_up) AS waiting,
       (SELECT extract(epoch FROM clock_timestamp() - min(created_at))::float8
          FROM outbox WHERE sent_at IS NULL AND NOT given_up) AS oldest_seconds,
       (SELECT count(*) FROM outbox WHERE refused IS NOT NULL AND NOT given_up) AS refused,
       (SELECT count(*) FROM outbox WHERE refused IS NOT NULL AND given_up) AS given_up,
       (SELECT refused FROM outbox WHERE refused IS NOT NULL ORDER BY NOT given_up, created_at LIMIT 1) AS reason
