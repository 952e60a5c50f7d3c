-- announce: a worker says that it is there, and hears what people want of it.
-- KEYS  1 workers hash name -> "seen ms, valid until ms, info"; "order <name>" -> "quiet" | "stop"
-- ARGV  name, how long this is valid in ms, info ("" takes the worker off the list)
-- Returns the order, or "" for none
local name, valid, info = ARGV[1], tonumber(ARGV[2]), ARGV[3]
local order = redis.call('HGET', KEYS[1], 'order ' .. name) or ''
redis.call('HDEL', KEYS[1], '')            -- changes nothing, but is allowed at maxmemory; what follows then is too
if info == '' then
  redis.call('HDEL', KEYS[1], name, 'order ' .. name)
  return ''
end
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
redis.call('HSET', KEYS[1], name, string.format('%.0f %.0f ', now, now + valid) .. info)
return order
