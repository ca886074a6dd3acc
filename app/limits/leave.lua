-- Leaves the place at a deployment: its slot is free, its tokens count as they were used, and how long it took until the
-- answer began is remembered for a minute. May be repeated.
--
-- KEYS  1 places, 2 tokens, 3 amounts, 4 pace
-- ARGV  1 id of the attempt, 2 tokens, 3 "stream" or "whole", 4 how long it took (ms), "": that says nothing,
--       5 the part of the newest in the pace that is remembered (percent)
redis.call('ZREM', KEYS[1], ARGV[1])
correct(KEYS[2], KEYS[3], ARGV[1], ARGV[2])
if ARGV[4] ~= '' then
  local newest, part = tonumber(ARGV[4]), tonumber(ARGV[5]) / 100
  local before = tonumber(redis.call('HGET', KEYS[4], ARGV[3]) or ARGV[4])
  redis.call('HSET', KEYS[4], ARGV[3], integer(before + (newest - before) * part))
  redis.call('PEXPIRE', KEYS[4], MINUTE)
end
return 0
