-- Puts a running call back that Redis has lost: its place among the calls, its holds, its slots. Changes nothing for a call
-- that Redis knows.
--
-- KEYS  1 calls, 2 templates, then for each of B budgets: budget, holds; then the slots
-- ARGV  1 request id, 2 hold (nano-dollars), 3 lease (ms), 4 template, 5 how long idle counters are kept (ms), 6 B
local id, hold, keep, budgets = ARGV[1], ARGV[2], ARGV[5], tonumber(ARGV[6])
local clock = redis.call('TIME')
local ends = tonumber(clock[1]) * 1000 + math.floor(tonumber(clock[2]) / 1000) + tonumber(ARGV[3])

if redis.call('ZSCORE', KEYS[1], id) then return 0 end
redis.call('ZADD', KEYS[1], ends, id)
redis.call('HSET', KEYS[2], id, ARGV[4])
for b = 1, budgets do
  local budget, holds = KEYS[1 + b * 2], KEYS[2 + b * 2]
  if hold ~= '0' and redis.call('HSETNX', holds, 'h' .. id, hold) == 1 then
    redis.call('HINCRBY', budget, 'held', hold)
    redis.call('PEXPIRE', budget, keep)
    redis.call('PEXPIRE', holds, keep)
  end
end
for s = 3 + budgets * 2, #KEYS do redis.call('ZADD', KEYS[s], ends, id) end
return 1
