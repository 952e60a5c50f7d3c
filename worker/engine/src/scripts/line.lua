-- line: what the scripts share that move lines on (settle, recover, cancel, purge, repair). It is put before each of them
-- and called after its first write.
-- keys  jobs hash, in_line hash id -> mark, ready: list by mark

-- Whoever is first becomes ready if it waits in line. Ids at the head whose job is gone, by a way out that knew nothing of
-- lines, are dropped. Returns true when a job became ready.
local function line_goes_on(line, keys)
  local head = redis.call('LINDEX', line, 0)
  while head and redis.call('HEXISTS', keys.jobs, head) == 0 do
    redis.call('LPOP', line)
    redis.call('HDEL', keys.in_line, head)
    head = redis.call('LINDEX', line, 0)
  end
  local mark = head and redis.call('HGET', keys.in_line, head)
  if not mark then return false end
  redis.call('HDEL', keys.in_line, head)
  redis.call('RPUSH', keys.ready[mark] or keys.ready[''], head)
  return true
end

-- A job that has ended leaves its line, wherever in it it is. Returns true when another became ready. What is no list was
-- not written by a script of ours, and must not keep a job from ending.
local function leave_line(line, id, keys)
  local head = redis.pcall('LINDEX', line, 0)
  if type(head) == 'table' then return false end
  if head == id then
    redis.call('LPOP', line)
  else
    redis.call('LREM', line, 1, id)
    redis.call('HDEL', keys.in_line, id)
  end
  return line_goes_on(line, keys)
end

