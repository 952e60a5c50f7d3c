-- recover: runs whose lease ended go back to ready, or are buried when they took too many workers with them.
-- Called only with suspects seen expired twice over one unbroken connection (docs/life-of-a-job.md).
-- KEYS  1 running zset   2 jobs hash   3 marks hash   4 ready   5 ready:high   6 ready:low   7 outcomes stream
--       8 bell list   9 cancelled set   10 in_line hash
-- ARGV  worker name, then per suspect: its member, id, lease end as it was seen, marks, record ("" unless it is buried), unique key ("" none),
--       priority ("" | "h:" | "l:"), line ("" none)
-- Returns {ready again, buried}: lists of members. A suspect whose lease was lengthened meanwhile is left alone.
local PER_RUN = 8
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local lists = { [''] = KEYS[4], ['h:'] = KEYS[5], ['l:'] = KEYS[6] }
local keys = { jobs = KEYS[2], in_line = KEYS[10], ready = lists }
local back, buried, records, woken = {}, {}, {}, false
local again = { [''] = {}, ['h:'] = {}, ['l:'] = {} }
for at = 2, #ARGV, PER_RUN do
  local member, id, seen, marks, record, lock, mark, line = unpack(ARGV, at, at + PER_RUN - 1)
  local deadline = redis.call('ZSCORE', KEYS[1], member)
  if deadline and tonumber(deadline) == tonumber(seen) then
    redis.call('ZREM', KEYS[1], member)
    if redis.call('HEXISTS', KEYS[2], id) == 0 then
      buried[#buried + 1] = member           -- cancelled while it waited: nothing is left to run
    elseif record ~= '' then
      redis.call('HDEL', KEYS[2], id)
      redis.call('HDEL', KEYS[3], id)
      redis.call('SREM', KEYS[9], id)
      if lock ~= '' then give_back(lock, id) end
      if line ~= '' then woken = leave_line(line, id, keys) or woken end
      records[#records + 1] = record
      buried[#buried + 1] = member
    else
      redis.call('HSET', KEYS[3], id, marks)
      again[mark][#again[mark] + 1] = id
      back[#back + 1] = member
    end
  end
end
for mark, ids in pairs(again) do put_first(lists[mark], ids) end
if (#back > 0 or woken) and redis.call('LLEN', KEYS[8]) < 64 then redis.call('RPUSH', KEYS[8], '1') end
if #records > 0 then
  local stamp = string.format('%.0f', now)
  redis.call('XADD', KEYS[7], '*', 't', stamp, 'w', ARGV[1], 'o', table.concat(records, '\n'))
end
return { back, buried }
