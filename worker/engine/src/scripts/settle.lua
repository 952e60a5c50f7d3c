-- settle: carry out the verdicts of one batch, each only while its run still holds its lease.
-- KEYS  1 running zset   2 jobs hash   3 marks hash   4 delayed zset   5 ready   6 ready:high   7 ready:low
--       8 outcomes stream   9 cancelled set   10 bell list   11 parked hash   12 in_line hash
-- ARGV  1 worker name   2 how many runs simply end: no lock, no line, and a record   3 their records, a line each
--       4 and on: the member of each of these, then per other run: its member, id, step ("end" | "delay" | "release" |
--       "shelve"), detail (delay ms or reason), marks, record ("" none), unique key ("" none),
--       priority ("" | "h:" | "l:"), line ("" none)
-- Returns {now ms, indexes of lost runs}: for those the lease was gone and nothing changed
local PER_RUN = 9
local FIRST = 4
local ID = 16                              -- bytes of a job's id, with which the member of its run begins
local simple = tonumber(ARGV[2])
local others = FIRST + simple
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local stamp = string.format('%.0f', now)
local members = { unpack(ARGV, FIRST, others - 1) }
for i = others, #ARGV, PER_RUN do members[#members + 1] = ARGV[i] end
local held = redis.call('ZMSCORE', KEYS[1], unpack(members))
local list_of = { [''] = 5, ['h:'] = 6, ['l:'] = 7 }
local mine, ended, marks, due, shelved, records, locks, lost = {}, {}, {}, {}, {}, {}, {}, {}
local in_order = {}
local again = { [5] = {}, [6] = {}, [7] = {} }

-- Its next run ends it at once, so a job that was asked to stop waits for nothing more, and neither does its line.
local function is_asked_to_stop(id)
  return redis.call('SISMEMBER', KEYS[9], id) == 1
end

-- True when all that simply end are still ours: then their records are heard as the one text they came in.
local function are_ours()
  for n = 1, simple do
    if not held[n] then return false end
  end
  return simple > 0
end

if are_ours() then
  records[1] = ARGV[3]
  for n = 1, simple do
    mine[n] = members[n]
    ended[n] = string.sub(members[n], 1, ID)
  end
else
  local n = 0
  for record in string.gmatch(ARGV[3], '[^\n]+') do
    n = n + 1
    if held[n] then
      records[#records + 1] = record
      mine[#mine + 1] = members[n]
      ended[#ended + 1] = string.sub(members[n], 1, ID)
    else lost[#lost + 1] = n end
  end
end

for n = simple + 1, #members do
  local member, at = members[n], others + (n - simple - 1) * PER_RUN
  if held[n] then
    local id, step, detail, record = ARGV[at + 1], ARGV[at + 2], ARGV[at + 3], ARGV[at + 5]
    if step == 'delay' and is_asked_to_stop(id) then step = 'release' end
    mine[#mine + 1] = member
    if record ~= '' then records[#records + 1] = record end
    if step == 'end' then
      ended[#ended + 1] = id
      if ARGV[at + 6] ~= '' then locks[#locks + 1] = ARGV[at + 6]; locks[#locks + 1] = id end
      if ARGV[at + 8] ~= '' then in_order[#in_order + 1] = ARGV[at + 8]; in_order[#in_order + 1] = id end
    else
      marks[#marks + 1] = id
      marks[#marks + 1] = ARGV[at + 4]
      if step == 'delay' then
        due[#due + 1] = string.format('%.0f', now + tonumber(detail))
        due[#due + 1] = ARGV[at + 7] .. id
      elseif step == 'shelve' then
        shelved[#shelved + 1] = id
        shelved[#shelved + 1] = detail
      else
        local list = again[list_of[ARGV[at + 7]]]
        list[#list + 1] = id
      end
    end
  else lost[#lost + 1] = n end
end
if #mine == 0 then return { stamp, lost } end

-- The first write is allowed at maxmemory, and so is what follows: a full Redis can always be drained.
redis.call('ZREM', KEYS[1], unpack(mine))
if #ended > 0 then
  redis.call('HDEL', KEYS[2], unpack(ended))
  if redis.call('EXISTS', KEYS[3]) == 1 then redis.call('HDEL', KEYS[3], unpack(ended)) end
  if redis.call('EXISTS', KEYS[9]) == 1 then redis.call('SREM', KEYS[9], unpack(ended)) end
  for i = 1, #locks, 2 do give_back(locks[i], locks[i + 1]) end
end
if #marks > 0 then redis.call('HSET', KEYS[3], unpack(marks)) end
if #due > 0 then redis.call('ZADD', KEYS[4], unpack(due)) end
if #shelved > 0 then redis.call('HSET', KEYS[11], unpack(shelved)) end
local woken = false
if #in_order > 0 then
  local lists = { [''] = KEYS[5], ['h:'] = KEYS[6], ['l:'] = KEYS[7] }
  local keys = { jobs = KEYS[2], in_line = KEYS[12], ready = lists }
  for i = 1, #in_order, 2 do woken = leave_line(in_order[i], in_order[i + 1], keys) or woken end
end
for list = 5, 7 do
  if #again[list] > 0 then
    put_first(KEYS[list], again[list])
    woken = true
  end
end
if woken and redis.call('LLEN', KEYS[10]) < 64 then redis.call('RPUSH', KEYS[10], '1') end
if #records > 0 then
  redis.call('XADD', KEYS[8], '*', 't', stamp, 'w', ARGV[1], 'o', table.concat(records, '\n'))
end
return { stamp, lost }
