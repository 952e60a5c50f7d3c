-- repair: tell which of these live jobs are in no place at all, or in a line that nothing moves on, and put them back when
-- asked to.
-- KEYS  1 jobs hash   2 ready   3 ready:high   4 ready:low   5 delayed zset   6 running zset   7 parked hash
--       8 marks hash   9 bell list   10 config hash   11 in_line hash
-- ARGV  "look" | "repair", then per job: id, priority ("" | "h:" | "l:"), line ("" none)
-- Returns the ids that were found so
-- A list is searched from end to end, so only suspects are asked about, and few at once.
local PER_JOB = 3
local keys = { jobs = KEYS[1], in_line = KEYS[11], ready = { [''] = KEYS[2], ['h:'] = KEYS[3], ['l:'] = KEYS[4] } }

-- The number of its last run; what runs now has the next one.
local function last_run(marks)
  return tonumber(string.match(marks or '', '^run=(%d+)') or '0')
end

-- True behind a head that is alive and does not wait in line itself: its end will let the next one go.
local function is_behind_somebody(line, id)
  local head = line ~= '' and redis.call('LINDEX', line, 0)
  return head and redis.call('HEXISTS', KEYS[1], head) == 1 and redis.call('HEXISTS', KEYS[11], head) == 0
    and redis.call('LPOS', line, id)
end

local function is_somewhere(id, line)
  if redis.call('HEXISTS', KEYS[11], id) == 1 then return is_behind_somebody(line, id) end
  for list = 2, 4 do
    if redis.call('LPOS', KEYS[list], id) then return true end
  end
  for _, mark in ipairs({ '', 'h:', 'l:' }) do
    if redis.call('ZSCORE', KEYS[5], mark .. id) then return true end
  end
  local run = last_run(redis.call('HGET', KEYS[8], id)) + 1
  if redis.call('ZSCORE', KEYS[6], member_of(id, run)) then return true end
  return redis.call('HEXISTS', KEYS[7], id) == 1
end

local found, where = {}, {}
for at = 2, #ARGV, PER_JOB do
  local id = ARGV[at]
  if redis.call('HEXISTS', KEYS[1], id) == 1 and not is_somewhere(id, ARGV[at + 2]) then
    found[#found + 1] = id
    where[#where + 1] = { mark = ARGV[at + 1], line = ARGV[at + 2] }
  end
end
if #found == 0 or ARGV[1] == 'look' then return found end

redis.call('ZREM', KEYS[6], '')            -- changes nothing, but is allowed at maxmemory; what follows then is too
for n, id in ipairs(found) do
  -- Whoever believes to run it must not be heard: its next run gets a number that nobody has had.
  local marks = redis.call('HGET', KEYS[8], id) or ''
  local run = 'run=' .. string.format('%.0f', last_run(marks) + 1)
  redis.call('HSET', KEYS[8], id, run .. string.gsub(marks, '^run=%d+', ''))
  local mark, line = where[n].mark, where[n].line
  if line == '' then
    redis.call('HDEL', KEYS[11], id)
    redis.call('RPUSH', keys.ready[mark], id)
  else
    if not redis.call('LPOS', line, id) then redis.call('RPUSH', line, id) end
    redis.call('HSET', KEYS[11], id, mark)
  end
end
-- Only when all are where they belong: one that has gone on must not be put in line again.
for _, job in ipairs(where) do
  if job.line ~= '' then line_goes_on(job.line, keys) end
end
redis.call('HINCRBY', KEYS[10], 'repaired', #found)
if redis.call('LLEN', KEYS[9]) < 64 then redis.call('RPUSH', KEYS[9], '1') end
return found
