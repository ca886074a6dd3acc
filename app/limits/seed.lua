-- Puts a settled balance from SQL into Redis. An older version never overwrites a newer one.
--
-- KEYS  1 budget
-- ARGV  1 spend (nano-dollars), 2 version, 3 how long idle counters are kept (ms)
local state = redis.call('HMGET', KEYS[1], 'spend', 'version')
if not state[1] or tonumber(state[2]) < tonumber(ARGV[2]) then
  redis.call('HSET', KEYS[1], 'spend', ARGV[1], 'version', ARGV[2])
  redis.call('PEXPIRE', KEYS[1], ARGV[3])
end
return 0
