-- begin: write down that runs are about to start whose job was lost before, so that only what started is charged.
-- KEYS  1 running zset   2 marks hash
-- ARGV  per run: its member, id, marks
-- Returns {now ms, indexes of lost runs}: for those the lease was gone and nothing changed
local PER_RUN = 3
local t = redis.call('TIME')
local members = {}
for at = 1, #ARGV, PER_RUN do members[#members + 1] = ARGV[at] end
local held = redis.call('ZMSCORE', KEYS[1], unpack(members))
local marks, lost = {}, {}
for n = 1, #members do
  local at = (n - 1) * PER_RUN + 1
  if held[n] then
    marks[#marks + 1] = ARGV[at + 1]
    marks[#marks + 1] = ARGV[at + 2]
  else lost[#lost + 1] = n end
end
if #marks > 0 then
  redis.call('ZREM', KEYS[1], '')          -- changes nothing, but is allowed at maxmemory; what follows then is too
  redis.call('HSET', KEYS[2], unpack(marks))
end
return { string.format('%.0f', t[1] * 1000 + math.floor(t[2] / 1000)), lost }
