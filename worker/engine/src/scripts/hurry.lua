-- hurry: a delayed job becomes ready now, behind those that wait already. What has happened to it stays counted.
-- KEYS  1 delayed zset marked id -> due ms   2 ready   3 ready:high   4 ready:low   5 bell list   6 jobs hash
-- ARGV  id
-- Returns 1 when it was delayed, otherwise 0
local id = ARGV[1]
if redis.call('HEXISTS', KEYS[6], id) == 0 then return 0 end
for list, mark in ipairs({ '', 'h:', 'l:' }) do
  if redis.call('ZREM', KEYS[1], mark .. id) == 1 then
    redis.call('RPUSH', KEYS[list + 1], id)
    if redis.call('LLEN', KEYS[5]) < 64 then redis.call('RPUSH', KEYS[5], '1') end
    return 1
  end
end
return 0
