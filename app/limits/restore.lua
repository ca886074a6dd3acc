-- Puts a running call back that Redis has lost: its place among the calls, its holds, its slots, its request and
-- its tokens. Changes nothing for a call that Redis knows.
--
-- KEYS  1 calls, 2 templates, then for each of B budgets: budget, holds; then S slots; then R sorted sets of requests;
--       then for each limit on tokens: tokens, amounts
-- ARGV  1 request id, 2 hold (nano-dollars), 3 lease (ms), 4 template, 5 how long idle counters are kept (ms), 6 B, 7 S,
--       8 R, 9 how long ago it was admitted (ms), then for each limit on tokens: what it needs of it
local id, hold, keep, budgets = ARGV[1], ARGV[2], ARGV[5], tonumber(ARGV[6])
local slots, request_limits, age = tonumber(ARGV[7]), tonumber(ARGV[8]), tonumber(ARGV[9])
-- As in admit.lua.
local MINUTE = 60001
local clock = redis.call('TIME')
local now = tonumber(clock[1]) * 1000 + math.floor(tonumber(clock[2]) / 1000)
local ends = now + tonumber(ARGV[3])

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
local first = 2 + budgets * 2
for s = first + 1, first + slots do redis.call('ZADD', KEYS[s], ends, id) end
if age >= MINUTE then return 1 end

first = first + slots
for r = first + 1, first + request_limits do
  redis.call('ZADD', KEYS[r], now - age, id)
  redis.call('PEXPIRE', KEYS[r], MINUTE)
end
first = first + request_limits
for t = 1, (#KEYS - first) / 2 do
  local tokens, amounts, need = KEYS[first + t * 2 - 1], KEYS[first + t * 2], ARGV[9 + t]
  redis.call('ZADD', tokens, now - age, id)
  if redis.call('HSETNX', amounts, id, need) == 1 then redis.call('HINCRBY', amounts, 'sum', need) end
  redis.call('PEXPIRE', tokens, MINUTE)
  redis.call('PEXPIRE', amounts, MINUTE)
end
return 1
