-- rest: tell the fleet what is left alone at providers, or that it has answered again.
-- KEYS  1 hash: what is left alone -> `<Unix ms of its end> <class> <why>`
-- ARGV  1 what   2 for how many ms, or 0 when it has answered   3 most fields   4 class and why
-- Returns 1, or 0 when the hash is full. Nothing is lost then, nor when a full Redis refuses it: others find out by
-- themselves.
if ARGV[2] == '0' then
  redis.call('HDEL', KEYS[1], ARGV[1])
  return 1
end
local t, left = redis.call('TIME'), tonumber(ARGV[2])
local is_known = redis.call('HEXISTS', KEYS[1], ARGV[1]) == 1
if not is_known and redis.call('HLEN', KEYS[1]) >= tonumber(ARGV[3]) then return 0 end
local ends = t[1] * 1000 + math.floor(t[2] / 1000) + left
redis.call('HSET', KEYS[1], ARGV[1], string.format('%d %s', ends, ARGV[4]))
if redis.call('PTTL', KEYS[1]) < left then redis.call('PEXPIRE', KEYS[1], left) end
return 1
