-- purge: cancel jobs that wait in one place, as cancel does, and take their ids out of it.
-- KEYS  1 place (a ready list, the delayed zset, the parked or the in_line hash)   2 jobs hash   3 marks hash   4 outcomes stream
--       5 cancelled set   6 in_line hash   7 ready   8 ready:high   9 ready:low   10 bell list
-- ARGV  place ("ready" | "delayed" | "parked" | "in_line"), canceller's name, then per job: member (id with its mark), id,
--       record ("" for what is no job), unique key ("" none), line ("" none)
-- Returns {entries taken out, jobs cancelled}: an id whose job is gone is only taken out. Being taken out of the place is
-- the proof that a job waited there: one that moved on meanwhile, or runs, is left alone.
local PER_JOB = 5
local NEAR = 4096                            -- the caller read the head of the list; further in nobody looks
local place = ARGV[1]
local t = redis.call('TIME')
local stamp = string.format('%.0f', t[1] * 1000 + math.floor(t[2] / 1000))

local function taken_out(member)
  if place == 'delayed' then return redis.call('ZREM', KEYS[1], member) == 1 end
  if place == 'parked' or place == 'in_line' then return redis.call('HDEL', KEYS[1], member) == 1 end
  if not redis.call('LPOS', KEYS[1], member, 'MAXLEN', NEAR) then return false end
  return redis.call('LREM', KEYS[1], 1, member) == 1
end

local taken, records, woken = 0, {}, false
local lists = { [''] = KEYS[7], ['h:'] = KEYS[8], ['l:'] = KEYS[9] }
local keys = { jobs = KEYS[2], in_line = KEYS[6], ready = lists }
for at = 3, #ARGV, PER_JOB do
  local member, id, record, lock, line = unpack(ARGV, at, at + PER_JOB - 1)
  if taken_out(member) then
    taken = taken + 1
    redis.call('SREM', KEYS[5], id)
    if redis.call('HDEL', KEYS[2], id) == 1 then
      redis.call('HDEL', KEYS[3], id)
      if lock ~= '' then give_back(lock, id) end
      if line ~= '' then woken = leave_line(line, id, keys) or woken end
      if record ~= '' then records[#records + 1] = record end
    end
  end
end
if woken and redis.call('LLEN', KEYS[10]) < 64 then redis.call('RPUSH', KEYS[10], '1') end
if #records > 0 then
  redis.call('XADD', KEYS[4], '*', 't', stamp, 'w', ARGV[2], 'o', table.concat(records, '\n'))
end
return { taken, #records }
