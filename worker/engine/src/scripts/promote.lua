-- promote: jobs that are due become ready. Any number of processes may run it.
-- KEYS  1 delayed zset marked id -> due ms   2 ready   3 ready:high   4 ready:low   5 bell
-- ARGV  most to move
-- Returns {moved, ms until the next is due (-1 when none)}
local ID = 16                              -- bytes of a job's id: what has just as many bears no mark
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local due = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', string.format('%.0f', now), 'LIMIT', 0, ARGV[1])
if #due > 0 then
  redis.call('ZREM', KEYS[1], unpack(due))
  local ready = { {}, {}, {} }
  for _, member in ipairs(due) do
    local mark = #member == ID and '' or string.sub(member, 1, 2)
    local list = (mark == 'h:' and 2) or (mark == 'l:' and 3) or 1
    ready[list][#ready[list] + 1] = list == 1 and member or string.sub(member, 3)
  end
  for list = 1, 3 do
    if #ready[list] > 0 then redis.call('RPUSH', KEYS[list + 1], unpack(ready[list])) end
  end
  if redis.call('LLEN', KEYS[5]) < 64 then redis.call('RPUSH', KEYS[5], '1') end
end
local next = redis.call('ZRANGE', KEYS[1], 0, 0, 'WITHSCORES')
if not next[2] then return { #due, -1 } end
return { #due, math.max(0, tonumber(next[2]) - now) }
