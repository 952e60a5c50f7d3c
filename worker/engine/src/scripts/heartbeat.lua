-- heartbeat: lengthen the leases of runs that are still going; tell which are lost and which are to stop.
-- KEYS  1 running zset   2 cancelled set
-- ARGV  lease ms, then per run: its member, id
-- Returns {lost, cancelled}: lists of members
local t = redis.call('TIME')
local deadline = string.format('%.0f', t[1] * 1000 + math.floor(t[2] / 1000) + tonumber(ARGV[1]))
local members, ids = {}, {}
for i = 2, #ARGV, 2 do members[#members + 1] = ARGV[i]; ids[#ids + 1] = ARGV[i + 1] end
local held = redis.call('ZMSCORE', KEYS[1], unpack(members))
local asked = redis.call('SMISMEMBER', KEYS[2], unpack(ids))
local leases, lost, cancelled = {}, {}, {}
for i, member in ipairs(members) do
  if not held[i] then lost[#lost + 1] = member
  else
    leases[#leases + 1] = deadline
    leases[#leases + 1] = member
    if asked[i] == 1 then cancelled[#cancelled + 1] = member end
  end
end
if #leases > 0 then
  redis.call('ZREM', KEYS[1], '')          -- changes nothing, but is allowed at maxmemory; what follows then is too
  redis.call('ZADD', KEYS[1], 'XX', unpack(leases))
end
return { lost, cancelled }
