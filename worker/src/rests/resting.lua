-- resting: everything that is left alone at providers now. What has ended is forgotten on the way.
-- KEYS  1 as in rest.lua
-- Returns {what, ms left, class and why, what, ...}
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local all, answer = redis.call('HGETALL', KEYS[1]), {}
for i = 1, #all, 2 do
  local ends, why = string.match(all[i + 1], '^(%d+) (.*)$')
  local left = (tonumber(ends or '') or 0) - now
  if left > 0 then
    answer[#answer + 1] = all[i]
    answer[#answer + 1] = string.format('%d', left)
    answer[#answer + 1] = why
  else
    redis.call('HDEL', KEYS[1], all[i])
  end
end
return answer
