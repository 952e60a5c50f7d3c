-- unpark: shelved jobs that a worker can now read become ready.
-- KEYS  1 parked hash id -> reason   2 ready   3 ready:high   4 ready:low   5 bell list
-- ARGV  per job: id, priority ("" | "h:" | "l:")
-- Returns how many moved
local list_of = { [''] = 2, ['h:'] = 3, ['l:'] = 4 }
local moved = 0
for at = 1, #ARGV, 2 do
  if redis.call('HDEL', KEYS[1], ARGV[at]) == 1 then
    redis.call('RPUSH', KEYS[list_of[ARGV[at + 1]]], ARGV[at])
    moved = moved + 1
  end
end
if moved > 0 and redis.call('LLEN', KEYS[5]) < 64 then redis.call('RPUSH', KEYS[5], '1') end
return moved
