-- cancel: a waiting job ends now, a running one is asked to stop.
-- KEYS  1 jobs hash   2 delayed zset   3 cancelled set   4 outcomes stream   5 marks hash   6 running zset   7 parked hash
--       8 in_line hash   9 ready   10 ready:high   11 ready:low   12 bell list
-- ARGV  id, record, unique key ("" none), canceller's name, line ("" none)
-- Returns "cancelled" | "requested" | "unknown". An id in a ready list stays there, and in the cancelled set: fetch drops it.
local id, record, lock, line = ARGV[1], ARGV[2], ARGV[3], ARGV[5]
if redis.call('HEXISTS', KEYS[1], id) == 0 then return 'unknown' end
local marks = redis.call('HGET', KEYS[5], id) or ''
local run = tonumber(string.match(marks, '^run=(%d+)') or '0') + 1
local running = redis.call('ZSCORE', KEYS[6], member_of(id, run))
redis.call('ZREM', KEYS[6], '')            -- changes nothing, but is allowed at maxmemory; what follows then is too
if running then
  redis.call('SADD', KEYS[3], id)
  return 'requested'
end
local t = redis.call('TIME')
local stamp = string.format('%.0f', t[1] * 1000 + math.floor(t[2] / 1000))
redis.call('HDEL', KEYS[1], id)
redis.call('HDEL', KEYS[5], id)
local waited_elsewhere = redis.call('HDEL', KEYS[7], id) + redis.call('ZREM', KEYS[2], id, 'h:' .. id, 'l:' .. id)
if line ~= '' then waited_elsewhere = waited_elsewhere + redis.call('HDEL', KEYS[8], id) end
redis.call(waited_elsewhere > 0 and 'SREM' or 'SADD', KEYS[3], id)
if lock ~= '' then give_back(lock, id) end
if line ~= '' then
  local lists = { [''] = KEYS[9], ['h:'] = KEYS[10], ['l:'] = KEYS[11] }
  local woken = leave_line(line, id, { jobs = KEYS[1], in_line = KEYS[8], ready = lists })
  if woken and redis.call('LLEN', KEYS[12]) < 64 then redis.call('RPUSH', KEYS[12], '1') end
end
redis.call('XADD', KEYS[4], '*', 't', stamp, 'w', ARGV[4], 'o', record)
return 'cancelled'
