-- roster: the workers that are there; those that have not been heard of for too long are struck off.
-- KEYS  1 workers hash
-- ARGV  order ("" none), then the names that it is for
-- Returns {now ms, entries, names that were told}
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local all = redis.call('HGETALL', KEYS[1])
local here, entries, gone, told = {}, {}, {}, {}
for i = 1, #all, 2 do
  local ends = string.match(all[i + 1], '^%d+ (%d+) ')
  if ends and tonumber(ends) > now then
    here[all[i]] = true
    entries[#entries + 1] = all[i + 1]
  elseif ends then
    gone[#gone + 1] = all[i]
    gone[#gone + 1] = 'order ' .. all[i]
  end
end
redis.call('HDEL', KEYS[1], '')            -- changes nothing, but is allowed at maxmemory; what follows then is too
for i = 1, #gone do redis.call('HDEL', KEYS[1], gone[i]) end
for i = 2, #ARGV do
  if here[ARGV[i]] then
    redis.call('HSET', KEYS[1], 'order ' .. ARGV[i], ARGV[1])
    told[#told + 1] = ARGV[i]
  end
end
return { string.format('%.0f', now), entries, told }
