-- Operations that were asked of the API and are not done. Those of the command line are carried out there.
SELECT id FROM bulk_operations WHERE state = 'running' AND actor LIKE 'api:%' ORDER BY created_at LIMIT 100
