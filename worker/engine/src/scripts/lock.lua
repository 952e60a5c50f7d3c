-- lock: what the scripts share that end runs (settle, recover, cancel, purge). It is put before each of them and called
-- after its first write.

-- A job that has ended gives its unique key back, if it still holds it. What is no string was not written by a script of
-- ours, and must not keep a job from ending.
local function give_back(lock, id)
  if redis.pcall('GET', lock) == id then redis.call('DEL', lock) end
end

-- What is released or recovered goes first, in the order in which it stands here.
local function put_first(list, ids)
  for n = #ids, 1, -1 do redis.call('LPUSH', list, ids[n]) end
end

