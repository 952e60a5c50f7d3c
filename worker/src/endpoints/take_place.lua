-- take_place: begin a delivery to an endpoint unless as many as it bears are under way.
-- KEYS  1 holders zset id:run -> end of its hold   2 line zset id -> when to ask again   3 state hash
-- ARGV  1 id   2 id:run   3 most at once   4 hold ms: longest that a delivery can take   5 furthest turn ms
-- Returns 0 (it has a place), or ms after which to ask again (-1: further away than turns are given)
-- Who has to wait is told a time at which a place will probably be free, by how long deliveries have taken: so a backlog
-- comes back spread, and a job asks a few times and not for ever. Holds of workers that vanished end by themselves.
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local id, holder, most, hold = ARGV[1], ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4])
-- The first write is allowed at maxmemory, so the rest is too.
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', string.format('%.0f', now))
redis.call('ZREMRANGEBYSCORE', KEYS[2], '-inf', string.format('%.0f', now - 60000))
if redis.call('ZCARD', KEYS[1]) < most then
  redis.call('ZREM', KEYS[2], id)
  redis.call('ZADD', KEYS[1], string.format('%.0f', now + hold), holder)
  redis.call('PEXPIRE', KEYS[1], hold)
  return 0
end

local state = redis.call('HMGET', KEYS[3], 'took', 'line')
local gap = math.max(1, (tonumber(state[1] or '') or 1000) / most)
local turn
if redis.call('ZSCORE', KEYS[2], id) then
  turn = now + math.max(20, gap)           -- it was its turn, and deliveries take longer than they did
else
  turn = math.max(tonumber(state[2] or '') or 0, now) + gap
  if turn - now > tonumber(ARGV[5]) then return -1 end
  redis.call('HSET', KEYS[3], 'line', string.format('%.3f', turn))
end
redis.call('ZADD', KEYS[2], string.format('%.3f', turn), id)
local keep = string.format('%.0f', math.ceil(turn - now) + 600000)
redis.call('PEXPIRE', KEYS[2], keep, 'GT')
redis.call('PEXPIRE', KEYS[2], keep, 'NX')
redis.call('PEXPIRE', KEYS[3], keep)
return math.ceil(turn - now)
