-- hold: set aside what a job may cost, in every window of its tenant's budget, or say which window has too little left.
-- KEYS  one hash per window: `spent`, `held` (sum of all holds), `h:<job>` (one hold)
-- ARGV  1 job   2 amount   then per window: its limit, ms after which the hash may be forgotten
-- Returns {0} when it is held in all of them, or {n, spent, held for others} for the first window that is too full; then
-- nothing is held.
-- A job that asks again (a repeated run, another model) replaces its own hold, so a crash leaves no hold behind for ever.
local job, amount = 'h:' .. ARGV[1], tonumber(ARGV[2])
local own = {}
for n, key in ipairs(KEYS) do
  local read = redis.call('HMGET', key, 'spent', 'held', job)
  local spent, held = tonumber(read[1] or '') or 0, tonumber(read[2] or '') or 0
  own[n] = tonumber(read[3] or '') or 0
  -- What is spent alone decides once it reaches the limit; an empty budget always lets one call through.
  local taken = spent + held - own[n]
  if taken > 0 and taken + amount > tonumber(ARGV[1 + 2 * n]) then
    return { n, string.format('%d', spent), string.format('%d', held - own[n]) }
  end
end
for n, key in ipairs(KEYS) do
  redis.call('HINCRBY', key, 'held', string.format('%d', amount - own[n]))
  redis.call('HSET', key, job, string.format('%d', amount))
  redis.call('PEXPIRE', key, ARGV[2 + 2 * n])
end
return { 0 }
