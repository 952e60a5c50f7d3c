-- fetch: lease up to n ready jobs to one worker. Bodies stay: the caller reads them with a plain HMGET.
-- KEYS  1 2 3 ready lists in the order to look   4 running zset id:run -> lease end ms   5 marks hash id -> counters
--       6 config hash   7 bell list   8 cancelled set   9 outcomes stream   10 jobs hash
-- ARGV  n, lease ms, most entries of the outcomes stream
-- Returns {now ms, ids, {index, marks, ...}, {index, ...}}: ids is empty when the queue is paused, its outcomes
-- wait for Postgres in too great a number, or nothing is ready;
-- a run is 1 unless its marks say otherwise; the last list names those that were asked to stop in an earlier run.
-- An id that was cancelled while it waited is dropped without a lease: its counters are gone, so its run would be 1 once
-- more, and a worker that has lost run 1 long ago would be believed.
local n, lease = tonumber(ARGV[1]), tonumber(ARGV[2])
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local stamp = string.format('%.0f', now)
if redis.call('HGET', KEYS[6], 'paused') then return { stamp, {}, {}, {} } end
if redis.call('XLEN', KEYS[9]) > tonumber(ARGV[3]) then return { stamp, {}, {}, {} } end

-- The first write is allowed at maxmemory, so the rest of the script is too.
local ids = {}
for list = 1, 3 do
  if #ids < n then
    for _, id in ipairs(redis.call('LPOP', KEYS[list], n - #ids) or {}) do ids[#ids + 1] = id end
  end
end
local taken = #ids

local cancelled = {}
if taken > 0 and redis.call('EXISTS', KEYS[8]) == 1 then
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
if #ids == 0 then return { stamp, {}, {}, {} } end

local deadline = string.format('%.0f', now + lease)
local leases, known = {}, {}
if redis.call('EXISTS', KEYS[5]) == 0 then
  for i, id in ipairs(ids) do leases[2 * i - 1] = deadline; leases[2 * i] = id .. ':1' end
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
    leases[2 * i] = id .. ':' .. string.format('%.0f', run)
  end
end
redis.call('ZADD', KEYS[4], unpack(leases))
return { stamp, ids, known, cancelled }
