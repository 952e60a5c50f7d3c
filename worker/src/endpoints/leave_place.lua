-- leave_place: a delivery has ended; learn how long they take.
-- KEYS  1 holders zset id:run -> end of its hold   2 state hash
-- ARGV  1 id:run   2 hold ms, as it was taken with   3 "sent", or "" when nothing was sent
-- Returns 1 when it had a place
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local ends = redis.call('ZSCORE', KEYS[1], ARGV[1])
if not ends then return 0 end
local took = tonumber(redis.call('HGET', KEYS[2], 'took') or '')
redis.call('ZREM', KEYS[1], ARGV[1])       -- the first write is allowed at maxmemory, so the rest is too
if ARGV[3] == 'sent' then
  local this = math.max(1, now - (tonumber(ends) - tonumber(ARGV[2])))
  took = took and took * 0.8 + this * 0.2 or this
  redis.call('HSET', KEYS[2], 'took', string.format('%.3f', took))
  redis.call('PEXPIRE', KEYS[2], 720000)
end
return 1
