-- take_place: begin a delivery to an endpoint unless as many as it bears are under way.
-- KEYS  1 holders zset id:run -> end of its hold   2 line zset id -> since when it waits   3 due zset id -> when it asks
--       again   4 state hash
-- ARGV  1 id   2 id:run   3 most at once   4 hold ms: longest that a delivery can take   5 longest wait ms
-- Returns 0 (it has a place), or ms after which to ask again
-- Who has to wait is told a time at which a place will probably be free, by its place in line and how long deliveries
-- have taken: a backlog comes back spread, and a job asks a few times and not for ever. Times are a little short, so that
-- places are not left empty. Holds of workers that vanished, and tickets of jobs that never came back, end by themselves.
local UNKNOWN = 250                        -- ms a delivery is taken to last before one has ended
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local id, holder, most, hold = ARGV[1], ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4])
local took = tonumber(redis.call('HGET', KEYS[4], 'took') or '')
local gone = redis.call('ZRANGEBYSCORE', KEYS[3], '-inf', string.format('%.0f', now - 60000), 'LIMIT', 0, 100)
-- The first write is allowed at maxmemory, so the rest is too.
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', string.format('%.0f', now))
if #gone > 0 then
  redis.call('ZREM', KEYS[2], unpack(gone))
  redis.call('ZREM', KEYS[3], unpack(gone))
end
if redis.call('ZCARD', KEYS[1]) < most then
  redis.call('ZREM', KEYS[2], id)
  redis.call('ZREM', KEYS[3], id)
  redis.call('ZADD', KEYS[1], string.format('%.0f', now + hold), holder)
  redis.call('PEXPIRE', KEYS[1], hold)
  return 0
end
redis.call('ZADD', KEYS[2], 'NX', string.format('%.0f', now), id)
local ahead = redis.call('ZRANK', KEYS[2], id)
local wait = (ahead + 1) * (took or UNKNOWN) / most * 0.75
wait = math.ceil(math.min(math.max(wait, 20), took and tonumber(ARGV[5]) or 1000))
redis.call('ZADD', KEYS[3], string.format('%.0f', now + wait), id)
local keep = tonumber(ARGV[5]) + 120000
for _, key in ipairs({ KEYS[2], KEYS[3], KEYS[4] }) do redis.call('PEXPIRE', key, keep) end
return wait
