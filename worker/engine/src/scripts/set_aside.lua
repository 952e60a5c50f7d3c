-- set_aside: an entry that no script of ours wrote leaves the running set and is kept where people see it.
-- KEYS  1 running zset   2 parked hash id -> reason
-- ARGV  member of the running set, id, reason
-- Returns 1 when it was there
local there = redis.call('ZREM', KEYS[1], ARGV[1])    -- the first write is allowed at maxmemory
if there == 1 then redis.call('HSET', KEYS[2], ARGV[2], ARGV[3]) end
return there
