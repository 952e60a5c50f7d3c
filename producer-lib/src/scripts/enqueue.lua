-- enqueue: accept up to 500 jobs of one queue, each at most once.
-- KEYS  1 jobs hash id -> envelope   2 ready list   3 bell list   4 config hash
--       and in a call in which some job has an option
--       5 ready:high list   6 ready:low list   7 delayed zset marked id -> due ms   8 in_line hash id -> mark
-- ARGV  1 Redis time in ms after which this call is too late to count, from a relay only ("" none)
--       then per job: id, envelope, and in a call with options: when ("" now | "+ms" delay | "@ms" time),
--       priority ("" | "h:" | "l:"), dedup key ("" none), body hash, window ms, unique key ("" none),
--       line ("" none; then when is "")
-- Returns {n, word, id} of every job that was not queued, one behind the other: "full" | "duplicate" | "conflict" |
-- "taken", the last three with the other job's id; {0, "late", ""} for all of them; the error WINDOW when a window is
-- none, and then nothing is written. Ids are 16 bytes, so none of them stands in an error
-- Deduplication comes before back-pressure, so a repeated enqueue is never refused.
-- A job in order joins the end of its line, and becomes ready only if nobody is before it.
local PLAIN = #KEYS == 4                   -- no job of the call has an option
local PER_JOB = PLAIN and 2 or 9           -- words of a job
local FIRST = 2
local MOST_WAKES = 64                      -- more workers need not be woken at once: each wakes the next
local ID = 16                              -- bytes of a job's id
local LONGEST = 10 * 366 * 86400000        -- ten years; much more and Redis would refuse the key after the first write
local now

-- Looked at when somebody asks: most jobs have no time in them.
local function clock()
  if not now then
    local t = redis.call('TIME')
    now = t[1] * 1000 + math.floor(t[2] / 1000)
  end
  return now
end

-- Wakes one more worker.
local function ring()
  if redis.call('RPUSH', KEYS[3], '1') > MOST_WAKES then redis.call('LPOP', KEYS[3]) end
end

if ARGV[1] ~= '' and clock() > tonumber(ARGV[1]) then return { 0, 'late', '' } end
local ids = {}
for at = FIRST, #ARGV, PER_JOB do ids[#ids + 1] = ARGV[at] end
local max = tonumber(redis.call('HGET', KEYS[4], 'max_len') or 0)
local room = max > 0 and max - redis.call('HLEN', KEYS[1]) or math.huge

-- Nothing has to be decided when no job has an option, none was here before, and there is room for all. The first write is
-- refused at maxmemory, so nothing is ever half done, here and below.
local plain = PLAIN and #ids <= room
local live
if plain and #ids == 1 then
  -- Looked at and written in one step. At maxmemory Redis refuses it even for a job that is here.
  local is_new = redis.pcall('HSETNX', KEYS[1], unpack(ARGV, FIRST))
  if type(is_new) == 'table' and redis.call('HEXISTS', KEYS[1], ids[1]) == 0 then return is_new end
  if is_new ~= 1 then return { 1, 'duplicate', ids[1] } end
else
  live = redis.call('HMGET', KEYS[1], unpack(ids))
  local seen = {}
  for n, id in ipairs(ids) do
    if live[n] or seen[id] then plain = false end
    seen[id] = true
  end
  if plain then redis.call('HSET', KEYS[1], unpack(ARGV, FIRST)) end
end
if plain then
  redis.call('RPUSH', KEYS[2], unpack(ids))
  ring()
  return {}
end

local list_of = { [''] = 2, ['h:'] = 5, ['l:'] = 6 }
local jobs, due, strings, taken, out = {}, {}, {}, {}, {}
local ready = { [2] = {}, [5] = {}, [6] = {} }
local lines, behind = {}, {}

-- The id and body hash that a dedup key remembers, in this batch or before it. What is not of that form was not written
-- here, and counts for nothing.
local function first_with(key)
  local holder = taken[key] or redis.call('GET', key)
  if holder and string.sub(holder, ID + 1, ID + 1) == ' ' then
    return string.sub(holder, 1, ID), string.sub(holder, ID + 2)
  end
end

-- The live job that holds a unique key. A lock whose job is gone counts for nothing, so none can leak.
local function holder_of(lock)
  if taken[lock] then return taken[lock] end
  local id = redis.call('GET', lock)
  if id and redis.call('HEXISTS', KEYS[1], id) == 1 then return id end
end

-- A word of the job whose words begin here, of those that only jobs with options have.
local function option(at, word)
  return PER_JOB > word and ARGV[at + word] or ''
end

local function verdict(n, at)
  local id, key, hash, lock = ids[n], option(at, 4), option(at, 5), option(at, 7)
  if key ~= '' then
    local first, its_hash = first_with(key)
    if first then return its_hash == hash and 'duplicate' or 'conflict', first end
  end
  if live[n] or taken[id] then return 'duplicate', id end
  if lock ~= '' then
    local holder = holder_of(lock)
    if holder then return 'taken', holder end
  end
  if room <= 0 then return 'full' end
  return 'queued'
end

-- A line as it is found. Ids at its head whose job is gone count for nothing, as with locks, so none stands still for
-- good; a head that still waits in line is let go.
local function line_of(key)
  if lines[key] then return lines[key] end
  local line = { key = key, gone = {}, joined = {} }
  local head = redis.call('LINDEX', key, 0)
  while head and redis.call('HEXISTS', KEYS[1], head) == 0 do
    line.gone[#line.gone + 1] = head
    head = redis.call('LINDEX', key, #line.gone)
  end
  line.head = head
  local mark = head and redis.call('HGET', KEYS[8], head)
  if mark then
    line.freed = head
    local list = ready[list_of[mark] or 2]
    list[#list + 1] = head
  end
  lines[key] = line
  lines[#lines + 1] = line
  return line
end

for n = 1, #ids do
  local at = (n - 1) * PER_JOB + FIRST
  local id, word, other = ids[n], verdict(n, at)
  if word ~= 'queued' then
    out[#out + 1] = n
    out[#out + 1] = word
    out[#out + 1] = other or ''
  else
    local when, mark, key, lock = option(at, 2), option(at, 3), option(at, 4), option(at, 7)
    room = room - 1
    taken[id] = id
    jobs[#jobs + 1] = id
    jobs[#jobs + 1] = ARGV[at + 1]
    if key ~= '' then
      local window = tonumber(option(at, 6))
      if not window or window < 1 or window > LONGEST then
        return redis.error_reply('WINDOW the key of job ' .. n .. ' of this call is to be remembered for 1 ms to ten years')
      end
      taken[key] = id .. ' ' .. option(at, 5)
      strings[#strings + 1] = { 'SET', key, taken[key], 'PX', option(at, 6) }
    end
    if lock ~= '' then
      taken[lock] = id
      strings[#strings + 1] = { 'SET', lock, id }
    end
    local line = option(at, 8) ~= '' and line_of(option(at, 8))
    if line then line.joined[#line.joined + 1] = id end
    local sign, ms = string.sub(when, 1, 1), tonumber(string.sub(when, 2) or '0')
    local at_ms = (sign == '+' and clock() + ms) or (sign == '@' and ms) or 0
    if line and line.head then
      behind[#behind + 1] = id
      behind[#behind + 1] = mark
    elseif at_ms > 0 and at_ms > clock() then
      due[#due + 1] = string.format('%.0f', at_ms)
      due[#due + 1] = mark .. id
    else
      local list = ready[list_of[mark]]
      list[#list + 1] = id
    end
    if line then line.head = line.head or id end
  end
end
if #jobs == 0 then return out end

redis.call('HSET', KEYS[1], unpack(jobs))
for _, command in ipairs(strings) do redis.call(unpack(command)) end
if #due > 0 then redis.call('ZADD', KEYS[7], unpack(due)) end
for _, line in ipairs(lines) do
  for _, id in ipairs(line.gone) do
    redis.call('LPOP', line.key)
    redis.call('HDEL', KEYS[8], id)
  end
  if line.freed then redis.call('HDEL', KEYS[8], line.freed) end
  redis.call('RPUSH', line.key, unpack(line.joined))
end
if #behind > 0 then redis.call('HSET', KEYS[8], unpack(behind)) end
local woken = false
for _, list in ipairs({ 2, 5, 6 }) do
  if #ready[list] > 0 then
    redis.call('RPUSH', KEYS[list], unpack(ready[list]))
    woken = true
  end
end
if woken then ring() end
return out
