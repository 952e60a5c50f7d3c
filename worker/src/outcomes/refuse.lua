-- refuse: take entries out of the outcomes stream, and keep those of their records aside that Postgres refused.
-- KEYS  1 outcomes stream   2 refused list
-- ARGV  number of entries, their ids, then the refused records
-- One step, so that no record is in both or in neither. XDEL comes first: it is allowed at maxmemory, and what follows
-- then is too, so a full Redis can be drained.
local last = tonumber(ARGV[1]) + 1
for at = 2, last do redis.call('XDEL', KEYS[1], ARGV[at]) end
for at = last + 1, #ARGV do redis.call('RPUSH', KEYS[2], ARGV[at]) end
