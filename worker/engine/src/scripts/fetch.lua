-- fetch: lease up to n ready jobs to one worker. Bodies of a few come along, those of many are read by a plain HMGET.
-- KEYS  1 2 3 ready lists in the order to look   4 running zset member of a run -> lease end ms   5 marks hash id -> counters
--       6 config hash   7 bell list   8 cancelled set   9 outcomes stream   10 jobs hash
--       11 starts hash "<window ms>:<slice>" -> jobs that were started in it
-- ARGV  n, lease ms, most entries of the outcomes stream, most bytes of it, most jobs whose bodies come along
-- Returns {now ms, ids, more, body, ...}: ids is empty when the queue is paused, its outcomes wait for Postgres in too
-- great a number, its rate allows no more now, or nothing is ready; it is one text, one id behind the other, and a list
-- only where one of them is no id. more is empty where nothing is to be said but that, otherwise {wait ms, {index, marks,
-- ...}, {index, ...}}: how long the pause or the rate lasts, when nothing rings the bell, or 0; what makes a run another
-- than the first; those that were asked to stop in an earlier run.
-- A window of the rate is counted in twenty slices, and the one that is just falling out of it still counts: so no
-- window of that length ever holds more, wherever it begins, and at most a twentieth is not used.
-- An id that was cancelled while it waited is dropped without a lease: its counters are gone, so its run would be 1 once
-- more, and a worker that has lost run 1 long ago would be believed.
local n, lease = tonumber(ARGV[1]), tonumber(ARGV[2])
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local stamp = string.format('%d', now)
local SLICES = 20
local WEIGHED = 1000
-- Hardly any queue has settings, marks or cancelled jobs, and jobs wait in one of its lists: one look tells that there is no
-- more than that. Should that one be something else, no list has a job, and nothing is fetched.
local there = redis.call('EXISTS', KEYS[1], KEYS[2], KEYS[3], KEYS[5], KEYS[6], KEYS[8])
if there == 0 then return { stamp, '', '' } end
local has_one_list = there == 1
local is_usual = has_one_list or redis.call('EXISTS', KEYS[5], KEYS[6], KEYS[8]) == 0
local config = is_usual and {} or redis.call('HMGET', KEYS[6], 'paused', 'paused_until', 'rate', 'rate_until')

-- When something that people set ends by itself. What is no number is no end (control/held.rs has the same rule).
local function end_of(ends)
  return ends and string.match(ends, '^%d+$') and tonumber(ends)
end

-- True while it is in force; without an end it is until they take it back.
local function holds(value, ends)
  ends = end_of(ends)
  return value and (not ends or ends > now)
end

-- True when too much waits for Postgres. Entries differ a thousandfold in size, so many of them are weighed as well.
local function is_behind()
  local entries = redis.call('XLEN', KEYS[9])
  if entries > tonumber(ARGV[3]) then return true end
  if entries <= WEIGHED then return false end
  local bytes = redis.pcall('MEMORY', 'USAGE', KEYS[9], 'SAMPLES', 20)
  return type(bytes) == 'number' and bytes > tonumber(ARGV[4])
end

if holds(config[1], config[2]) then
  local left = end_of(config[2])
  return { stamp, '', { left and math.ceil(left - now) or 0, {}, {} } }
end
if is_behind() then return { stamp, '', '' } end

-- How many may start now by every window of the rate, and how long until one more may; and what is too old to count.
local windows, old, wait = {}, {}, 0
if holds(config[3], config[4]) then
  local counted = redis.call('HGETALL', KEYS[11])
  -- A window of no length, or in which nothing may start, is none that anybody could have set.
  for most, length in string.gmatch(config[3], '(0*[1-9]%d*)/(0*[1-9]%d*)') do
    local slice = tonumber(length) / SLICES
    local window = { name = length, slice = slice, current = math.floor(now / slice), oldest = math.huge }
    local started = 0
    for i = 1, #counted, 2 do
      local of, at = string.match(counted[i], '^(%d+):(%d+)$')
      if of == length then
        at = tonumber(at)
        -- A clock that went back leaves slices of the future: they are as good as gone.
        if at < window.current - SLICES or at > window.current then old[#old + 1] = counted[i] else
          started = started + tonumber(counted[i + 1])
          window.oldest = math.min(window.oldest, at)
        end
      end
    end
    windows[#windows + 1] = window
    local left = math.max(0, tonumber(most) - started)
    if left == 0 then wait = math.max(wait, math.ceil((window.oldest + SLICES + 1) * slice - now)) end
    n = math.min(n, left)
  end
end
if n == 0 then return { stamp, '', { math.max(1, wait), {}, {} } } end

-- The first write is allowed at maxmemory, so the rest of the script is too. One call takes from one list, the first that
-- has any.
local ids = {}
repeat
  local popped = redis.call('LMPOP', 3, KEYS[1], KEYS[2], KEYS[3], 'LEFT', 'COUNT', n - #ids)
  if popped and #ids == 0 then ids = popped[2] elseif popped then
    for _, id in ipairs(popped[2]) do ids[#ids + 1] = id end
  end
until not popped or #ids == n or has_one_list
local taken = #ids

local cancelled = {}
if taken > 0 and not is_usual and redis.call('EXISTS', KEYS[8]) == 1 then
  local left = {}
  for i, asked in ipairs(redis.call('SMISMEMBER', KEYS[8], unpack(ids))) do
    if asked == 1 and redis.call('HEXISTS', KEYS[10], ids[i]) == 0 then
      redis.call('SREM', KEYS[8], ids[i])
    else
      left[#left + 1] = ids[i]
      if asked == 1 then cancelled[#cancelled + 1] = #left end
    end
  end
  ids = left
end

-- Pass the wake-up on when there is more than this worker could take.
if taken == n and redis.call('LLEN', KEYS[7]) == 0 then
  if redis.call('EXISTS', KEYS[1], KEYS[2], KEYS[3]) > 0 then redis.call('RPUSH', KEYS[7], '1') end
end
if #ids == 0 then return { stamp, '', '' } end
if #old > 0 then redis.call('HDEL', KEYS[11], unpack(old)) end
for _, window in ipairs(windows) do
  redis.call('HINCRBY', KEYS[11], string.format('%s:%.0f', window.name, window.current), #ids)
end
if #windows > 0 then redis.call('PEXPIRE', KEYS[11], 2 * 86400000) end

local deadline = string.format('%d', now + lease)
local has_bodies = #ids <= tonumber(ARGV[5])
-- One job alone, as they come to a worker that has nothing to do.
if is_usual and has_bodies and #ids == 1 and #ids[1] == ID then
  redis.call('ZADD', KEYS[4], deadline, ids[1])
  return { stamp, ids[1], '', redis.call('HGET', KEYS[10], ids[1]) }
end
local leases, known, are_ids = {}, {}, true
if is_usual or redis.call('EXISTS', KEYS[5]) == 0 then
  for i, id in ipairs(ids) do
    leases[2 * i - 1] = deadline
    if #id == ID then leases[2 * i] = id else leases[2 * i], are_ids = member_of(id, 1), false end
  end
else
  local marks = redis.call('HMGET', KEYS[5], unpack(ids))
  for i, id in ipairs(ids) do
    local run = 1
    if marks[i] then
      run = tonumber(string.match(marks[i], '^run=(%d+)') or '0') + 1
      known[#known + 1] = i
      known[#known + 1] = marks[i]
    end
    leases[2 * i - 1] = deadline
    leases[2 * i] = member_of(id, run)
    are_ids = are_ids and #id == ID
  end
end
redis.call('ZADD', KEYS[4], unpack(leases))
local more = (#known > 0 or #cancelled > 0) and { 0, known, cancelled } or ''
local reply = { stamp, are_ids and table.concat(ids) or ids, more }
if has_bodies then
  for i, body in ipairs(redis.call('HMGET', KEYS[10], unpack(ids))) do reply[i + 3] = body end
end
return reply
