-- take_turns: give every caller of one provider key its turn, after hearing what the provider has just said.
-- A key has a clock of its own, which stands still while the provider wants to be left alone: so a wait that the
-- provider asks for moves everybody by the same time, and nobody has to line up again.
-- KEYS  1 state hash   2 zset ticket -> its turn, by the key's clock
-- ARGV  1 wait that the provider asks for in ms, `?` when it says only "too fast", or ''
--       2 ms between two calls that it has announced, or ''   3 for how many ms that is so (with 1: an announced end of
--         the allowance and no refusal)
--       4 longest turn that is given ahead, in ms   5 number of windows
--       then for each window: length in ms, ms between two calls, burst      then one ticket per caller
-- Returns {used, wait, wait, ...}: the fullest window in thousandths, and per caller ms to wait (0 is "now, and the turn
-- is used up"; -1 is "too far ahead: no turn was given").
local t = redis.call('TIME')
local now = t[1] * 1000 + t[2] / 1000
local horizon, count = tonumber(ARGV[4]), tonumber(ARGV[5])
local names = { 'shift', 'blocked', 'strikes', 'pace', 'pace_until', 'line:pace', 'done:pace' }
local windows = {}
for i = 1, count do
  local at = 3 + 3 * i
  windows[i] = { name = ARGV[at], length = tonumber(ARGV[at]), gap = tonumber(ARGV[at + 1]), burst = tonumber(ARGV[at + 2]) }
  names[#names + 1] = 'line:' .. ARGV[at]
  names[#names + 1] = 'done:' .. ARGV[at]
end
local read = redis.call('HMGET', KEYS[1], unpack(names))
local state = {}
for i, name in ipairs(names) do state[name] = tonumber(read[i] or '') or 0 end

-- What the provider says. Several calls that were under way together are refused together: only the first counts.
local first = now >= state.blocked
if ARGV[1] ~= '' then
  local wait = tonumber(ARGV[1])
  if wait then wait = math.min(wait, 86400000) else
    if first then state.strikes = (now - state.blocked > 60000) and 1 or math.min(state.strikes + 1, 9) end
    wait = math.min(1000 * 2 ^ (state.strikes - 1), 300000)
  end
  local from, till = math.max(now, state.blocked), now + wait
  if till > from then
    state.shift = state.shift + till - from
    state.blocked = till
  end
  -- Faster than it bears, whatever the windows say: twice as slowly from here on, at first 100 a second.
  if first and ARGV[2] == '' then
    state.pace = (now < state.pace_until and state.pace > 0) and math.min(state.pace * 2, 1000) or 10
    state.pace_until = math.max(state.pace_until, state.blocked + 60000)
  end
end
if ARGV[2] ~= '' and ARGV[1] == '' and (now >= state.pace_until or tonumber(ARGV[2]) > state.pace) then
  state.pace = tonumber(ARGV[2])
  state.pace_until = now + tonumber(ARGV[3])
end
local paced = state.pace >= 1 and now < state.pace_until
if paced then
  -- What comes a little late must not lose its turn, so more may be done at once than is given.
  windows[#windows + 1] = { name = 'pace', length = 0, gap = state.pace, burst = 1, late = math.max(2, 250 / state.pace) }
end

local closed = math.max(0, state.blocked - now)
local clock = now + closed - state.shift
-- The first write is allowed at maxmemory, so the rest is too: tickets of callers that never came back.
redis.call('ZREMRANGEBYSCORE', KEYS[2], '-inf', clock - 900000)

for _, window in ipairs(windows) do
  window.line = math.max(state['line:' .. window.name], state['done:' .. window.name])
  window.done = state['done:' .. window.name]
end
local function free()
  if closed > 0 then return false end
  for _, window in ipairs(windows) do
    if math.max(window.done, clock) + window.gap - (window.late or window.burst) * window.gap > clock + 0.001 then return false end
  end
  return true
end
-- A ticket has its place in the line already; who has none takes one.
local function pass(places)
  for _, window in ipairs(windows) do
    if places > 0 then window.line = math.max(window.line, clock) + window.gap end
    window.done = math.max(window.done, clock) + window.gap
    window.line = math.max(window.line, window.done)
  end
  if paced then state.pace = state.pace * 0.98 end
end

local answer = { 0 }
for i = 6 + 3 * count, #ARGV do
  local ticket, wait = ARGV[i], nil
  local turn = tonumber(redis.call('ZSCORE', KEYS[2], ticket) or '')
  if turn and turn > clock then
    wait = turn - clock + closed
  elseif turn and closed > 0 then
    wait = closed
  elseif turn and free() then
    redis.call('ZREM', KEYS[2], ticket)
    pass(0)
    wait = 0
  else
    -- New in line, or so late that others have filled its turn.
    turn = clock
    for _, window in ipairs(windows) do
      turn = math.max(turn, window.line + window.gap - window.burst * window.gap)
    end
    if turn <= clock and free() then
      pass(1)
      wait = 0
    elseif turn - clock > horizon then
      redis.call('ZREM', KEYS[2], ticket)
      wait = -1
    else
      turn = math.max(turn, clock)
      for _, window in ipairs(windows) do window.line = math.max(window.line, turn) + window.gap end
      redis.call('ZADD', KEYS[2], string.format('%.3f', turn), ticket)
      wait = math.max(1, turn - clock + closed)
    end
  end
  answer[#answer + 1] = math.ceil(wait)
end

local used, last = 0, clock
local fields = { 'shift', string.format('%.3f', state.shift), 'blocked', string.format('%.3f', state.blocked),
  'strikes', string.format('%d', state.strikes), 'pace', string.format('%.3f', state.pace),
  'pace_until', string.format('%.3f', state.pace_until) }
for _, window in ipairs(windows) do
  for _, field in ipairs({ 'line', 'done' }) do
    fields[#fields + 1] = field .. ':' .. window.name
    fields[#fields + 1] = string.format('%.3f', window[field])
  end
  if not window.late then used = math.max(used, (window.done - clock) / (window.burst * window.gap)) end
  last = math.max(last, window.line + window.length)
end
redis.call('HSET', KEYS[1], unpack(fields))
-- No allowance is worth remembering for longer than a month, whatever its provider says.
local keep = math.ceil(math.min(last - clock + closed + 1200000, 2678400000))
redis.call('PEXPIRE', KEYS[1], keep)
redis.call('PEXPIRE', KEYS[2], keep)
answer[1] = math.floor(math.min(math.max(used, 0), 1) * 1000)
return answer
