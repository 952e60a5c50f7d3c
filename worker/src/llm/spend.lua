-- spend: count what a job has cost, and give back what was held for it.
-- KEYS  one hash per window, as in hold.lua
-- ARGV  1 job   2 what it has cost since its last hold   3 ms after which the hashes may be forgotten
for _, key in ipairs(KEYS) do
  local hold = redis.call('HGET', key, 'h:' .. ARGV[1])
  if ARGV[2] ~= '0' then redis.call('HINCRBY', key, 'spent', ARGV[2]) end
  if hold then
    redis.call('HINCRBY', key, 'held', string.format('%d', -tonumber(hold)))
    redis.call('HDEL', key, 'h:' .. ARGV[1])
  end
  redis.call('PEXPIRE', key, ARGV[3])
end
