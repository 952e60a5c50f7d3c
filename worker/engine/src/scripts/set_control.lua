-- set_control: what people set for a queue at run time: a pause, a rate, a concurrency. It replaces what was set before.
-- KEYS  1 config hash
-- ARGV  fields and values in turn
redis.call('HDEL', KEYS[1], '')            -- changes nothing, but is allowed at maxmemory; what follows then is too
redis.call('HSET', KEYS[1], unpack(ARGV))
