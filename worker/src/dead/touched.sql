-- Who decided what about a letter, oldest first.
SELECT item.operation, operation.kind, item.state, operation.actor, operation.reason, item.note,
       operation.created_at AS at
FROM bulk_items AS item JOIN bulk_operations AS operation ON operation.id = item.operation
WHERE item.letter = $1
ORDER BY operation.created_at, operation.id
