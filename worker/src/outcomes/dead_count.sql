-- Letters that wait for a decision, per queue.
SELECT queue, count(*)
FROM dead_letters
WHERE state = 'dead'
GROUP BY queue
