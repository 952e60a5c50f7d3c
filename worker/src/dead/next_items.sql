-- The next letters of an operation, oldest first.
SELECT letter FROM bulk_items WHERE operation = $1 AND state = 'pending' ORDER BY position LIMIT $2
