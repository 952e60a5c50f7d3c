-- missing: which of these jobs are not alive. Reads only.
-- KEYS  1 jobs hash id -> envelope
-- ARGV  ids
-- Returns the positions, from 0, of those that are not there
local missing = {}
for n, id in ipairs(ARGV) do
  if redis.call('HEXISTS', KEYS[1], id) == 0 then missing[#missing + 1] = n - 1 end
end
return missing
