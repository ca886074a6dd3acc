-- Ends one call: the event is written, its slots are free, its hold becomes its real cost until the worker has settled it,
-- its tokens count as they were used.
-- May be repeated: the ledger takes an event once, and a cost is due once.
--
-- KEYS  1 calls, 2 templates, 3 events, 4 wake, then for each of B budgets: budget, holds; then S slots; then R sorted
--       sets of requests (only for a call that never took place); then for each limit on tokens: tokens, amounts
-- ARGV  1 request id, 2 cost (nano-dollars), 3 event or "" (a call that never took place: only give back), 4 how long idle
--       counters are kept (ms), 5 how long one wake-up counts (ms), 6 B, 7 S, 8 R, 9 tokens that were used
-- Gives {1 where the caller has to wake the worker, else 0; the event's place in the stream, or ""}
local id, cost, event, keep, budgets = ARGV[1], ARGV[2], ARGV[3], ARGV[4], tonumber(ARGV[6])
local slots, request_limits, tokens = tonumber(ARGV[7]), tonumber(ARGV[8]), event ~= '' and ARGV[9] or '0'

local place = ''
if event ~= '' then place = redis.call('XADD', KEYS[3], '*', 'e', event) end
redis.call('ZREM', KEYS[1], id)
redis.call('HDEL', KEYS[2], id)

for b = 1, budgets do
  local budget, holds = KEYS[3 + b * 2], KEYS[4 + b * 2]
  local held = redis.call('HGET', holds, 'h' .. id)
  -- A call that was given up for dead has its cost standing already; it is not counted twice.
  if cost ~= '0' and event ~= '' and redis.call('HSETNX', holds, 'd' .. id, cost) == 1 then
    redis.call('HINCRBY', budget, 'due', cost)
    if not held then
      redis.call('PEXPIRE', budget, keep)
      redis.call('PEXPIRE', holds, keep)
    end
  end
  -- Only now: with its last field the key would go, and how long it is kept with it.
  if held then
    redis.call('HDEL', holds, 'h' .. id)
    redis.call('HINCRBY', budget, 'held', '-' .. held)
  end
end
for k = 5 + budgets * 2, 4 + budgets * 2 + slots + request_limits do redis.call('ZREM', KEYS[k], id) end
for k = 5 + budgets * 2 + slots + request_limits, #KEYS, 2 do correct(KEYS[k], KEYS[k + 1], id, tokens) end

if event ~= '' and redis.call('SET', KEYS[4], '1', 'NX', 'PX', ARGV[5]) then return {1, place} end
return {0, place}
