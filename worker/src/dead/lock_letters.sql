-- Always in this order, so that two operations never wait for each other in a circle.
SELECT FROM dead_letters WHERE job_id = ANY($1) ORDER BY job_id FOR NO KEY UPDATE
