-- repair: tell which of these live jobs are in no place at all, and put them back in line when asked to.
-- KEYS  1 jobs hash   2 ready   3 ready:high   4 ready:low   5 delayed zset   6 running zset   7 parked hash
--       8 marks hash   9 bell list   10 config hash
-- ARGV  "look" | "repair", then per job: id, priority ("" | "h:" | "l:")
-- Returns the ids that were in no place
-- A list is searched from end to end, so only suspects are asked about, and few at once.
local list_of = { [''] = 2, ['h:'] = 3, ['l:'] = 4 }

-- The number of its last run; what runs now has the next one.
local function last_run(marks)
  return tonumber(string.match(marks or '', '^run=(%d+)') or '0')
end

local function is_somewhere(id)
  for list = 2, 4 do
    if redis.call('LPOS', KEYS[list], id) then return true end
  end
  for _, mark in ipairs({ '', 'h:', 'l:' }) do
    if redis.call('ZSCORE', KEYS[5], mark .. id) then return true end
  end
  local run = string.format('%.0f', last_run(redis.call('HGET', KEYS[8], id)) + 1)
  if redis.call('ZSCORE', KEYS[6], id .. ':' .. run) then return true end
  return redis.call('HEXISTS', KEYS[7], id) == 1
end

local found, lists = {}, {}
for at = 2, #ARGV, 2 do
  local id = ARGV[at]
  if redis.call('HEXISTS', KEYS[1], id) == 1 and not is_somewhere(id) then
    found[#found + 1] = id
    lists[#lists + 1] = list_of[ARGV[at + 1]]
  end
end
if #found == 0 or ARGV[1] == 'look' then return found end

redis.call('ZREM', KEYS[6], '')            -- changes nothing, but is allowed at maxmemory; what follows then is too
for n, id in ipairs(found) do
  -- Whoever believes to run it must not be heard: its next run gets a number that nobody has had.
  local marks = redis.call('HGET', KEYS[8], id) or ''
  local run = 'run=' .. string.format('%.0f', last_run(marks) + 1)
  redis.call('HSET', KEYS[8], id, run .. string.gsub(marks, '^run=%d+', ''))
  redis.call('RPUSH', KEYS[lists[n]], id)
end
redis.call('HINCRBY', KEYS[10], 'repaired', #found)
if redis.call('LLEN', KEYS[9]) < 64 then redis.call('RPUSH', KEYS[9], '1') end
return found
