-- advance: everything of a schedule up to this tick has been dealt with. It never goes back.
-- KEYS  1 schedules hash
-- ARGV  name, tick in Unix ms
local before = redis.call('HGET', KEYS[1], ARGV[1])
if not before or tonumber(before) < tonumber(ARGV[2]) then redis.call('HSET', KEYS[1], ARGV[1], ARGV[2]) end
return 1
